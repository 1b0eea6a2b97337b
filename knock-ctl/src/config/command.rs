//! The commands of a door.

use std::net::IpAddr;
use std::time::Duration;

pub use crate::commands::CommandLine;

use super::report::Fault;
use super::tree::{Node, Value};

/// A command, which may differ for IPv6 sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerFamily {
    pub v4: Option<CommandLine>,
    pub v6: Option<CommandLine>,
}

impl PerFamily {
    /// An IPv4-mapped address is an IPv4 address.
    pub fn for_source(&self, source: &IpAddr) -> Option<&CommandLine> {
        match source.to_canonical() {
            IpAddr::V4(_) => self.v4.as_ref(),
            IpAddr::V6(_) => self.v6.as_ref(),
        }
    }

    pub fn is_none(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorCommands {
    /// Run when the sequence is complete: the door opens only if it succeeds.
    pub approve: Option<CommandLine>,
    /// Run when the door opens.
    pub start: PerFamily,
    /// Run once when the grant ends; for a door that opens nothing, `cmd_timeout` after the start.
    pub stop: PerFamily,
    pub cmd_timeout: Duration,
    /// A user's name; `None`: as the controller.
    pub run_as: Option<String>,
    /// How long a command may run before it is ended.
    pub time_limit: Duration,
}

impl DoorCommands {
    pub fn start_for(&self, source: &IpAddr) -> Option<&CommandLine> {
        self.start.for_source(source)
    }

    pub fn stop_for(&self, source: &IpAddr) -> Option<&CommandLine> {
        self.stop.for_source(source)
    }
}

/// A string or a list of strings; an empty one is no command.
pub(super) fn command(node: &Node) -> Result<Option<CommandLine>, Fault> {
    const EXAMPLES: &str = "a string for the shell, or a list such as [\"/usr/bin/logger\", \"%IP%\"]";
    match &node.value {
        Value::Text(line) => {
            let line = without_nul(node, line)?;
            Ok((!line.trim().is_empty()).then_some(CommandLine::Shell(line)))
        }
        Value::Array(items) => {
            let words = items
                .iter()
                .map(|item| match &item.value {
                    Value::Text(word) => without_nul(item, word),
                    _ => Err(item.not_a("a string", "each argument in quotes")),
                })
                .collect::<Result<Vec<_>, _>>()?;
            match words.first() {
                None => Ok(None),
                Some(program) if program.is_empty() => {
                    Err(items[0].fault("this is not the name of a program", format!("write {EXAMPLES}")))
                }
                Some(_) => Ok(Some(CommandLine::Direct(words))),
            }
        }
        _ => Err(node.not_a("a command", EXAMPLES)),
    }
}

/// No argument of a program can hold a NUL (execve(2)).
fn without_nul(node: &Node, text: &str) -> Result<String, Fault> {
    if text.contains('\0') {
        return Err(node.fault("a command cannot hold a NUL character", "take it out"));
    }
    Ok(text.to_owned())
}
