//! `[limits]`, `[timeouts]` and `[log]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::{Fault, Report};
use super::scalar::{self, DAY, SECOND};
use super::section::{Kind, Section};
use super::tree::{Node, Table};

/// How many of each there can be at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub attempts: u32,
    pub grants: u32,
    pub flows: u32,
    /// Running.
    pub commands: u32,
    /// Waiting for one that runs to end.
    pub queued_commands: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attempts: 2_097_152, grants: 65_536, flows: 262_144, commands: 16, queued_commands: 1024 }
    }
}

/// After how long without a packet a flow is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub tcp_established: Duration,
    /// After FIN or RST.
    pub tcp_closing: Duration,
    /// From the last datagram that this machine sent.
    pub udp: Duration,
    /// From an echo request that this machine sent.
    pub icmp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: 5 * DAY,
            tcp_closing: Duration::from_secs(120),
            udp: Duration::from_secs(180),
            icmp: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Each step of an attempt too.
    pub stages: bool,
    /// A sample of what is dropped.
    pub drops: bool,
    pub syslog: bool,
    /// An absolute path.
    pub file: Option<PathBuf>,
}

pub(super) fn read_limits(table: &Table, report: &mut Report) -> Limits {
    /// A table of this many entries already takes gigabytes of kernel memory.
    const MAX_ENTRIES: u32 = 1 << 26;
    let mut section = Section::new(Kind::Limits, "in [limits]", table);
    let default = Limits::default();
    let mut limit = |key, default, max| section.read(key, report, scalar::count(1..=max)).unwrap_or(default);
    let limits = Limits {
        attempts: limit("attempts", default.attempts, MAX_ENTRIES),
        grants: limit("grants", default.grants, MAX_ENTRIES),
        flows: limit("flows", default.flows, MAX_ENTRIES),
        commands: limit("commands", default.commands, 4096),
        queued_commands: limit("queued_commands", default.queued_commands, 1 << 20),
    };
    section.finish(report);
    limits
}

pub(super) fn read_timeouts(table: &Table, report: &mut Report) -> Timeouts {
    let mut section = Section::new(Kind::Timeouts, "in [timeouts]", table);
    let default = Timeouts::default();
    let mut timeout =
        |key, default| section.read(key, report, scalar::duration(SECOND..=365 * DAY)).unwrap_or(default);
    let timeouts = Timeouts {
        tcp_established: timeout("tcp_established", default.tcp_established),
        tcp_closing: timeout("tcp_closing", default.tcp_closing),
        udp: timeout("udp", default.udp),
        icmp: timeout("icmp", default.icmp),
    };
    section.finish(report);
    timeouts
}

pub(super) fn read_log(table: &Table, report: &mut Report) -> Log {
    let mut section = Section::new(Kind::Log, "in [log]", table);
    let stages = section.read("stages", report, scalar::boolean);
    let drops = section.read("drops", report, scalar::boolean);
    let syslog = section.read("syslog", report, scalar::boolean);
    let file = section.read("file", report, log_file);
    section.finish(report);
    Log {
        stages: stages.unwrap_or(false),
        drops: drops.unwrap_or(false),
        syslog: syslog.unwrap_or(false),
        file,
    }
}

/// The controller keeps no directory that it could begin at.
fn log_file(node: &Node) -> Result<PathBuf, Fault> {
    const EXAMPLE: &str = "\"/var/log/knock.log\"";
    let text = scalar::text(node, "a path in quotes", EXAMPLE)?;
    let path = Path::new(text);
    if !path.is_absolute() || text.ends_with('/') || text.contains(char::is_control) {
        return Err(node.fault(
            format!("{text:?} is not the whole path of a file"),
            format!("write one as in {EXAMPLE}"),
        ));
    }
    Ok(path.to_owned())
}
