//! The automaton that all sequences are.

use super::{DoorId, Slot};

/// Numbers of states: the step (from 0) above [`STATE_STEP_SHIFT`], so that a state tells how far it has come.
pub type StateId = u32;

pub const STATE_STEP_SHIFT: u32 = 15;
/// State numbers are below this.
pub const STATES_MAX: u32 = 32 << STATE_STEP_SHIFT;
/// No attempt: where a first knock starts from.
pub const ROOT: StateId = 0;

/// No attempt either: it was ended by a wrong knock. Within their step, numbers of states begin at 1.
pub const BROKEN: StateId = 1 << STATE_STEP_SHIFT;

/// Steps taken when in `state`: 1 to 32.
#[inline(always)]
pub const fn steps_taken(state: StateId) -> u32 {
    (state >> STATE_STEP_SHIFT) + 1
}

/// Which symbol a packet on a knock port is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct HitKey {
    pub slot: Slot,
    pub port: u16,
    pub protocol: u8,
    pub flags_class: u8,
    /// 0: sent to no door's `target`.
    pub target_class: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Hit {
    pub symbol: u32,
    /// Where the symbol leads from [`ROOT`]; its `next` is 0 where it is no first knock.
    pub first: Edge,
}

/// Set in [`EdgeKey::symbol`] for a packet whose hop limit is not that of the attempt's first knock.
pub const OTHER_HOP_LIMIT: u32 = 1 << 31;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct EdgeKey {
    pub slot: Slot,
    pub state: StateId,
    pub symbol: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Edge {
    pub next: StateId,
    /// The door that this step completes; 0: none yet.
    pub completes: DoorId,
    /// The longest `seq_timeout` of the doors that go this way, in milliseconds.
    pub timeout: u32,
}

impl Edge {
    pub const NONE: Self = Self { next: ROOT, completes: 0, timeout: 0 };
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct StateKey {
    pub slot: Slot,
    pub state: StateId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct State {
    /// Hash of the path and the doors that are still on it; the same in every set of rules that has the same doors.
    pub identity: u64,
    /// A door whose sequence begins with this state's path.
    pub representative: DoorId,
    /// The longest `seq_timeout` of the doors on this path, in milliseconds.
    pub timeout: u32,
    /// 1: the path is complete.
    pub complete: u32,
    /// The longest `seq_timeout` of the doors on this path that have `same_ttl`, in milliseconds; 0: none has.
    pub same_hop_limit: u32,
}

/// Where in a door's sequence a port occurs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct OccurrenceKey {
    pub slot: Slot,
    pub door: DoorId,
    pub port: u16,
    pub protocol: u8,
    pub padding: u8,
}

/// Bit `n`: the port is step `n` (from 0) of the sequence.
pub type Occurrences = u32;

const _: () = {
    assert!(BROKEN != ROOT);
    assert!(size_of::<HitKey>() == 12);
    assert!(size_of::<Hit>() == 16);
    assert!(size_of::<EdgeKey>() == 12);
    assert!(size_of::<Edge>() == 12);
    assert!(size_of::<StateKey>() == 8);
    assert!(size_of::<State>() == 24);
    assert!(size_of::<OccurrenceKey>() == 12);
};
