//! What the configuration says is to be run.

use std::fmt;
use std::net::IpAddr;

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
