//! What is to be run, and what came of it.

use std::io;
use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::Duration;

use super::announcement::Announcement;
use super::command_line::CommandLine;

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
