//! `generate`: a configuration with a fresh random sequence.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use knock_common::port::PortRange;

use super::output;
use crate::config::ports::parse_range;
use crate::generate::{Request, generate};
use crate::sockets::listeners;

/// Prints a configuration with a fresh random sequence, and how to knock
#[derive(Args, Debug)]
pub struct GenerateArguments {
    /// What the door opens, as in 22/tcp or 60000-60010/udp
    #[arg(required = true, value_name = "PORT/PROTO", value_parser = range)]
    opens: Vec<PortRange>,

    /// How hard the sequence is to guess: one of 2^N
    #[arg(long, value_name = "N", default_value_t = 45, value_parser = clap::value_parser!(u32).range(1..=512))]
    bits: u32,

    /// Write it to a new file that its owner alone can read, and print how to knock
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn range(text: &str) -> Result<PortRange, String> {
    parse_range(text).map_err(|error| format!("{error}; {}", error.help()))
}

pub(super) fn run(arguments: &GenerateArguments) -> anyhow::Result<ExitCode> {
    let listening = listeners().unwrap_or_else(|error| {
        eprintln!("note: whether something listens on a knock port was not looked at: {error}");
        Vec::new()
    });
    let mut opens = arguments.opens.clone();
    opens.sort();
    opens.dedup();
    let request = Request { opens: &opens, bits: arguments.bits, listening: &listening };
    let generated = generate(&request, &mut getrandom::u32)?;
    match &arguments.output {
        None => output::print(&generated.text)?,
        Some(path) => {
            create(path, &generated.text)?;
            eprintln!("wrote {}, which its owner alone can read", path.display());
            output::print(&generated.instructions)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Never touches what is there already, not even by way of a link.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
        |error| match error.kind() {
            ErrorKind::AlreadyExists => {
                anyhow!("{shown} exists, and no file is ever overwritten; name another, or move it away")
            }
            _ => anyhow::Error::from(error).context(format!("cannot create {shown}")),
        },
    )?;
    let written: io::Result<()> = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file would be in the way of the next attempt.
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {shown}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("knock.toml");
        create(&path, "first").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let error = create(&path, "second").unwrap_err().to_string();
        assert!(
            error.ends_with(
                "knock.toml exists, and no file is ever overwritten; name another, or move it away"
            )
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");

        let link = directory.path().join("link");
        symlink(directory.path().join("elsewhere"), &link).unwrap();
        assert!(create(&link, "third").is_err());
        assert!(!directory.path().join("elsewhere").exists());
        let missing = create(&directory.path().join("no/such"), "x").unwrap_err();
        assert!(missing.to_string().starts_with("cannot create "));
    }

    #[test]
    fn a_port_that_is_none_is_told_with_what_to_write() {
        assert_eq!(range("22").unwrap_err(), "this port names no protocol; write \"22/tcp\"");
        assert_eq!(range("9-5/udp").unwrap_err(), "this range runs backwards; write \"5-9/udp\"");
        assert!(range("22/sctp").unwrap_err().ends_with("write it as in \"22/tcp\" or \"53/udp\""));
    }
}
