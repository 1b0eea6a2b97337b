//! `import`: knockd's configuration in our notation.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::check::counted;
use super::output;
use crate::import::import;

/// Prints the doors of a knockd.conf as a configuration for this program; needs no privilege
#[derive(Args, Debug)]
pub struct ImportArguments {
    /// knockd's configuration, such as /etc/knockd.conf; "-": from stdin
    file: PathBuf,
}

/// How messages call what comes from stdin.
const STDIN: &str = "stdin";

/// No knockd.conf comes near this; a device file would never end.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn run(arguments: &ImportArguments) -> anyhow::Result<ExitCode> {
    let is_stdin = arguments.file == Path::new("-");
    let name = if is_stdin { STDIN.to_owned() } else { arguments.file.display().to_string() };
    let bytes = if is_stdin { read(io::stdin()) } else { File::open(&arguments.file).and_then(read) };
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{name} is larger than {} MiB; name a knockd.conf", MAX_BYTES >> 20);
    }
    match import(&bytes, &name) {
        Ok(imported) => {
            for warning in &imported.warnings {
                eprintln!("warning: {warning}");
            }
            output::print(&imported.text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            eprintln!("{errors}");
            bail!("{} found, and nothing imported", counted(errors.diagnostics().len(), "error"));
        }
    }
}

fn read(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
