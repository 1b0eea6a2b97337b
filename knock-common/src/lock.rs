//! Locks: a key is locked for as long as it is in their map. One CPU, or the controller, alone sees its insertion succeed.

use crate::address::Address;
use crate::connection::ConnectionsKey;

/// The source that is no source: its lock guards the adding of sources to the table of grants.
pub const TABLE_LOCK: ConnectionsKey = ConnectionsKey { source: Address::UNSPECIFIED, door: 0, padding: 0 };

/// Nanoseconds after which a lock is somebody's who will not come back.
pub const LOCK_LIFE: u64 = 1_000_000_000;
