//! What is recorded.

use std::net::IpAddr;

use knock_common::address::Address;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::namespace::NamespaceCookie;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A door opened; or, for an opening that is known already, it stays open until another time.
    Opened {
        #[serde(flatten)]
        opening: Opening,
        /// CLOCK_BOOTTIME in nanoseconds; `None`: it stays open until it is revoked.
        stop_due: Option<u64>,
        /// Its start command will say that it has begun.
        #[serde(default)]
        announced: bool,
    },
    /// Its start command has begun.
    Started {
        #[serde(flatten)]
        opening: Opening,
    },
    /// Its stop command is about to run.
    Stopping {
        #[serde(flatten)]
        opening: Opening,
    },
    /// Nothing is due any more: its stop command has begun, or there is none.
    Closed {
        #[serde(flatten)]
        opening: Opening,
    },
}

/// One opening of one door for one source. A door that closes and opens again is another opening, so that the end of the
/// one is never taken for the end of the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Opening {
    #[serde(with = "as_ip")]
    pub address: Address,
    pub door: String,
    /// CLOCK_BOOTTIME in nanoseconds, of the boot that it happened in.
    pub opened_at: u64,
    pub(super) boot_id: BootId,
    /// Of the network namespace, if the journal was told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<NamespaceCookie>,
}

/// A door that was open when the journal was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDoor {
    pub opening: Opening,
    /// Of this boot, and its start command has not begun.
    pub unstarted: bool,
    pub stop: StopDue,
}

/// When a stop command is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopDue {
    Now,
    /// CLOCK_BOOTTIME of this boot in nanoseconds; it may have passed.
    At(u64),
    WhenRevoked,
}

/// What the kernel calls this boot (/proc/sys/kernel/random/boot_id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct BootId(pub(super) String);

mod as_ip {
    use super::*;

    pub(super) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        address.to_ip().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        IpAddr::deserialize(deserializer).map(Address::from)
    }
}
