//! What a door is.

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use knock_common::flags::FlagsCondition;
use knock_common::port::{Port, PortRange};
use thiserror::Error;

use super::command::DoorCommands;
use super::one_time::OneTimeFile;
use super::sequence::Sequence;

/// 1 to 64 of `A-Z a-z 0-9 _ . -`: fit for a log line, a command line and an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DoorName(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a door's name is 1 to {max} of the characters A-Z a-z 0-9 _ . -", max = DoorName::MAX_BYTES)]
pub struct DoorNameError;

impl DoorName {
    pub const MAX_BYTES: usize = 64;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DoorName {
    type Err = DoorNameError;

    fn from_str(text: &str) -> Result<Self, DoorNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(DoorNameError)
        }
    }
}

impl fmt::Display for DoorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for DoorName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Ports that a source may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opens {
    /// None of them: a door that only runs commands or revokes.
    Ports(Vec<PortRange>),
    Any,
}

impl Opens {
    /// A door's entries, ranges counted once.
    pub const MAX_ENTRIES: usize = 64;

    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Ports(ranges) if ranges.is_empty())
    }

    pub fn contains(&self, port: Port) -> bool {
        match self {
            Self::Ports(ranges) => ranges.iter().any(|range| range.contains(port)),
            Self::Any => true,
        }
    }
}

/// How long new connections are accepted after the knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFor {
    For(Duration),
    /// Until revoked.
    Forever,
}

/// What opens a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoorSequence {
    Fixed(Sequence),
    /// The first of the file that is not used.
    OneTime(OneTimeFile),
}

impl DoorSequence {
    /// The one that opens the door next. `None`: the last one-time sequence is used.
    pub fn next(&self) -> Option<&Sequence> {
        match self {
            Self::Fixed(sequence) => Some(sequence),
            Self::OneTime(file) => file.unused.first().map(|one_time| &one_time.sequence),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    pub name: DoorName,
    pub sequence: DoorSequence,
    /// From first to last knock.
    pub seq_timeout: Duration,
    pub flags: FlagsCondition,
    /// Every knock must arrive with the first one's TTL or hop limit.
    pub same_ttl: bool,
    /// Knocks count only when sent to one of these; empty: to any address.
    pub target: Vec<IpAddr>,
    pub opens: Opens,
    pub open_for: OpenFor,
    /// How many connections a grant is good for; 0: no limit.
    pub connections: u32,
    /// Doors whose grants completing this one takes from the source.
    pub revokes: Vec<DoorName>,
    pub commands: DoorCommands,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_what_fits_everywhere() {
        for name in ["ssh", "open_SSH-2.old", "0", &"a".repeat(64)] {
            assert_eq!(name.parse::<DoorName>().unwrap().as_str(), name);
        }
        for name in ["", "two words", "ssh/tcp", "tür", "a\nb", &"a".repeat(65)] {
            assert_eq!(name.parse::<DoorName>(), Err(DoorNameError), "{name:?}");
        }
    }
}
