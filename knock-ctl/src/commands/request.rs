//! What is to be run, and what came of it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::Duration;

use super::announcement::Announcement;

/// A command as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Run by `/bin/sh -c`.
    Shell(String),
    /// The program and its arguments; no shell ever sees them.
    Direct(Vec<String>),
}

impl CommandLine {
    /// With each `%IP%` replaced by the address. That is hexadecimal digits, dots and colons, whatever a client sent; an
    /// IPv4-mapped address is written as IPv4.
    pub fn for_address(&self, address: IpAddr) -> Self {
        let address = address.to_canonical().to_string();
        let fill = |text: &String| text.replace("%IP%", &address);
        match self {
            Self::Shell(text) => Self::Shell(fill(text)),
            Self::Direct(words) => Self::Direct(words.iter().map(fill).collect()),
        }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(text) => f.write_str(text),
            Self::Direct(words) => f.write_str(&words.join(" ")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// A door opened.
    Start,
    /// A door closed.
    Stop,
    /// Whether a door may open.
    Approve,
}

/// One run of one command for one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRequest {
    pub door: String,
    pub kind: CommandKind,
    pub command: CommandLine,
    /// The source; becomes KNOCK_IP, KNOCK_FAMILY and `%IP%`.
    pub address: IpAddr,
    /// Becomes KNOCK_OPENS: such as "22/tcp,60000-60010/udp".
    pub opens: String,
    /// Becomes KNOCK_OPEN_FOR: such as "30s".
    pub open_for: String,
    /// The name of the user whom it runs as; `None`: as this process.
    pub run_as: Option<String>,
    /// How long it may run before it is ended.
    pub time_limit: Duration,
    /// Written as it begins.
    pub announcement: Option<Announcement>,
}

#[derive(Debug)]
pub struct CommandOutcome {
    pub door: String,
    pub kind: CommandKind,
    /// As in the request.
    pub address: IpAddr,
    pub result: CommandResult,
    /// As in the request.
    pub announcement: Option<Announcement>,
    /// From its start to its end.
    pub duration: Duration,
}

#[derive(Debug)]
pub enum CommandResult {
    Exited(ExitStatus),
    /// It was ended by the time limit.
    TimedOut,
    /// It could not be started: no such program, no such user, not permitted.
    Failed(io::Error),
}

impl CommandResult {
    /// Whether it ended by itself, with status 0.
    pub fn succeeded(&self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}
