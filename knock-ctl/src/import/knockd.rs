//! What a knockd.conf(5) says, line by line checked and not yet translated.

use std::net::IpAddr;
use std::time::Duration;

use knock_common::flags::FlagsCondition;

use crate::config::Sequence;
use crate::config::diagnostic::Position;
use crate::interface::InterfaceName;

/// A value and the line that says it.
pub(super) struct At<T> {
    pub(super) place: Position,
    pub(super) value: T,
}

pub(super) struct KnockdFile {
    pub(super) options: Options,
    pub(super) doors: Vec<KnockdDoor>,
}

#[derive(Default)]
pub(super) struct Options {
    pub(super) log_file: Option<At<String>>,
    pub(super) syslog: Option<Position>,
    pub(super) pid_file: Option<At<String>>,
    pub(super) interface: Option<At<InterfaceName>>,
}

pub(super) struct KnockdDoor {
    /// Of its section.
    pub(super) place: Position,
    /// As written: any text without a line's end.
    pub(super) name: String,
    pub(super) secret: At<Secret>,
    pub(super) seq_timeout: Option<At<Duration>>,
    /// Of the last line that says some.
    pub(super) flags: Option<At<FlagsCondition>>,
    pub(super) target: Option<At<IpAddr>>,
    pub(super) commands: Commands,
}

pub(super) enum Secret {
    Sequence(Sequence),
    /// The file of one-time sequences.
    OneTime(String),
}

/// As written; an empty one is given and does nothing.
#[derive(Default)]
pub(super) struct Commands {
    pub(super) start: Option<At<String>>,
    pub(super) stop: Option<At<String>>,
    pub(super) start_6: Option<At<String>>,
    pub(super) stop_6: Option<At<String>>,
    pub(super) cmd_timeout: Option<At<Duration>>,
}

/// What runs for the sources of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) start: &'a str,
    pub(super) stop: Option<&'a str>,
}

impl Commands {
    pub(super) fn for_ipv4(&self) -> Option<Run<'_>> {
        run(self.start.as_ref(), self.stop.as_ref())
    }

    /// Each command that is not given for IPv6 is that of IPv4.
    pub(super) fn for_ipv6(&self) -> Option<Run<'_>> {
        run(self.start_6.as_ref().or(self.start.as_ref()), self.stop_6.as_ref().or(self.stop.as_ref()))
    }
}

/// knockd runs a stop command behind a start command alone: process_attempt().
fn run<'a>(start: Option<&'a At<String>>, stop: Option<&'a At<String>>) -> Option<Run<'a>> {
    let text = |command: &'a At<String>| Some(command.value.as_str()).filter(|text| !text.is_empty());
    start.and_then(text).map(|start| Run { start, stop: stop.and_then(text) })
}
