//! `hosts.toml`: the hosts that the client knows by name, and what to knock there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::diagnostic::{ConfigErrors, Diagnostic};
use super::draft;
use super::ports;
use super::private;
use super::report::{Fault, Report};
use super::scalar::{self, SECOND};
use super::section::{self, Kind, Section};
use super::sequence::Sequence;
use super::source::{Place, SourceId, Sources};
use super::tree::{self, Entry, Node, Value};
use crate::client::{Family, WaitPort};

/// A section `[hosts.NAME]`. What it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    /// A name that is looked up, or an address; the host's name unless said.
    pub address: String,
    pub secret: Secret,
    /// From one knock to the next.
    pub delay: Option<Duration>,
    pub family: Option<Family>,
    pub wait: Option<WaitPort>,
    /// How often to knock again while the port does not answer.
    pub retry: Option<u32>,
}

/// What to knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    Sequence(Sequence),
    /// knockd's file of sequences, each good for one knock.
    OneTime(PathBuf),
}

/// Reads a hosts.toml, which must be its owner's alone and the caller's own. One that does not exist names no host.
///
/// # Errors
/// All that is wrong in the file, or that it cannot be read.
pub fn load(path: &Path) -> Result<Vec<Host>, ConfigErrors> {
    if path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    let mut report = Report::default();
    let mut sources = Sources::default();
    let file = sources.add_file(path, &mut report).map_err(|error| Diagnostic {
        file: path.display().to_string(),
        position: None,
        message: error.message,
        help: error.help,
    })?;
    check_private(file, &sources, &mut report);
    let hosts = read(file, &sources, &mut report);
    let (errors, _) = report.resolve(&sources);
    ConfigErrors::from_list(errors).map_or(Ok(hosts), Err)
}

fn check_private(file: SourceId, sources: &Sources, report: &mut Report) {
    let (Some(path), Some(metadata)) = (sources.path(file), sources.metadata(file)) else { return };
    if let Some(owner) = private::foreign_owner(metadata) {
        report.error(Fault::new(
            Place::whole(file),
            format!("this file holds sequences, and belongs to another user (uid {owner})"),
            format!("make it yours, then {}", private::chmod(path)),
        ));
    } else if let Some(mode) = private::shared_mode(metadata) {
        report.error(Fault::new(
            Place::whole(file),
            format!("this file holds sequences, and others than its owner may read it (mode {mode:04o})"),
            private::chmod(path),
        ));
    }
}

fn read(file: SourceId, sources: &Sources, report: &mut Report) -> Vec<Host> {
    let Some(document) = tree::parse(file, sources.text(file), report) else { return Vec::new() };
    let mut whole = Section::new(Kind::HostsFile, "outside any section", &document);
    let hosts = whole.table("hosts", report);
    whole.finish(report);
    hosts.entries.iter().filter_map(|entry| read_host(entry, sources, report)).collect()
}

fn read_host(entry: &Entry, sources: &Sources, report: &mut Report) -> Option<Host> {
    let label = format!("hosts.{}", section_name(&entry.key));
    let table = section::entry_table(entry, &label, report)?;
    let mut section = Section::new(Kind::Host, format!("in [{label}]"), table);
    let address = section.read("address", report, address);
    let secret_entry = section.either(["sequence", "one_time"], report);
    let secret = secret_entry.and_then(|entry| match entry.key.as_str() {
        "sequence" => draft::read_sequence(entry, report).map(|draft| Secret::Sequence(draft.sequence)),
        _ => section::read_entry(entry, report, |node| {
            let path = scalar::text(node, "the path of a file", "\"web.sequences\"")?;
            Ok(Secret::OneTime(sources.resolve_path(node.place.source, path)))
        }),
    });
    let delay = section.read("delay", report, delay);
    let family = section.read("family", report, family);
    let wait = section.read("wait", report, wait);
    let retry = section.read("retry", report, scalar::count(0..=1000));
    let meant = section.finish(report);
    if secret_entry.is_none() && !meant.iter().any(|key| ["sequence", "one_time"].contains(key)) {
        report.error(Fault::new(
            entry.place,
            format!("host {:?} has no sequence", entry.key),
            "write sequence = [...] with its ports, or one_time = \"FILE\"",
        ));
    }
    Some(Host {
        address: address.unwrap_or_else(|| entry.key.clone()),
        name: entry.key.clone(),
        secret: secret?,
        delay,
        family,
        wait,
        retry,
    })
}

/// As it is written behind `hosts.`: TOML wants quotes around a dot.
pub fn section_name(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

fn address(node: &Node) -> Result<String, Fault> {
    let example = "\"server.example.net\" or \"192.0.2.1\"";
    match scalar::text(node, "a host's name or address", example)? {
        "" => Err(node.fault("this is no host's name or address", format!("write {example}"))),
        text => Ok(text.to_owned()),
    }
}

/// Elsewhere a bare number is one of seconds, and on the client's command line one of milliseconds.
fn delay(node: &Node) -> Result<Duration, Fault> {
    if let Value::Integer(number) = node.value {
        let help = format!("write \"{number}ms\"");
        return Err(node.fault("this delay names no unit", help));
    }
    scalar::duration(Duration::ZERO..=60 * SECOND)(node)
}

fn family(node: &Node) -> Result<Family, Fault> {
    match &node.value {
        Value::Integer(4) => Ok(Family::Ipv4),
        Value::Integer(6) => Ok(Family::Ipv6),
        Value::Integer(_) => Err(node.fault("there is no such family", "write 4 or 6")),
        _ => Err(node.not_a("4 or 6", "4 or 6, without quotes")),
    }
}

fn wait(node: &Node) -> Result<WaitPort, Fault> {
    WaitPort::try_from(ports::step(node)?)
        .map_err(|_| node.fault("a UDP port can't be waited for", "name a TCP port, as in \"22/tcp\""))
}

#[cfg(test)]
pub(crate) mod tests;
