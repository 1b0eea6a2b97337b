//! What doors do, and who and what is named in the rules.

use super::Slot;
use crate::address::Address;

/// Identity of a door: a hash of its name, the same in every set of rules; never 0.
pub type DoorId = u32;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct DoorKey {
    pub slot: Slot,
    pub door: DoorId,
}

/// Identity of a one-time sequence: a hash of the door's name and the sequence, in one row with the identities of doors; never
/// 0.
pub type SequenceId = u32;

/// Used one-time sequences that are remembered.
pub const USED_SEQUENCES: u32 = 1024;

/// What follows when a door's sequence is complete, or one of its one-time sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Door {
    /// Nanoseconds; `u64::MAX`: until revoked.
    pub open_for: u64,
    /// 0: no limit.
    pub connections: u32,
    /// 1: opens ports, so that the kernel program writes a grant.
    pub grants: u16,
    /// 1: takes other doors' grants.
    pub revokes: u16,
    /// The door that this one-time sequence opens; 0: this is a door itself.
    pub one_time_of: DoorId,
    /// The one-time sequence that must have been used before; 0: none.
    pub after: SequenceId,
}

/// Kinds of [`RelationKey`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Relation {
    /// The door `holder` opens the ports of class `subject`.
    Opens = 0,
    /// The trust `holder` extends to the ports of class `subject`.
    Trusts = 1,
    /// The door `holder` takes the grants of the door `subject`.
    Revokes = 2,
    /// The door `holder` is limited in its connections; `subject` is 0.
    Limits = 3,
}

/// Present in its map when the relation holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct RelationKey {
    pub slot: Slot,
    pub relation: u32,
    pub holder: u32,
    pub subject: u32,
}

/// An address of this machine that the rules name: a door's target, or one of the `destinations`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct TargetKey {
    pub slot: u64,
    pub address: Address,
}

/// Key of the trusted prefixes: the slot's 32 bits, then the address; a prefix counts both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct TrustedKey {
    pub slot: [u8; 4],
    pub address: [u8; 16],
}

/// Value of a trusted prefix: one of the two below, else the holder of [`Relation::Trusts`].
pub type Trust = u32;

pub const TRUST_EVERY_PORT: Trust = 0;
/// Hides a wider prefix.
pub const TRUST_NOBODY: Trust = u32::MAX;

const _: () = {
    assert!(size_of::<DoorKey>() == 8);
    assert!(size_of::<Door>() == 24);
    assert!(size_of::<RelationKey>() == 16);
    assert!(size_of::<TargetKey>() == 24);
    assert!(size_of::<TrustedKey>() == 20);
};
