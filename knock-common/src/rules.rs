//! The compiled rules: what userspace writes into maps and the kernel program reads.
//!
//! All doors' sequences are one automaton. A *hit* is a packet on a port of some sequence; its *symbol* says which doors'
//! conditions it meets there; an *edge* leads from a state by a symbol to the next state. So a packet costs the same few
//! look-ups however many doors there are. Two complete sets of rules exist side by side, and [`Control::active_slot`]
//! says which one holds: every key begins with its slot.

use crate::address::Address;
use crate::flags::TcpFlags;
use crate::flow::{FlowKind, FlowLives};
use crate::hash::HashKey;
use crate::port::Protocol;
use crate::time::Boottime;

/// Changes whenever the layout of a map or the meaning of its values does.
pub const LAYOUT_VERSION: u32 = 3;

/// One of the two sets of rules: 0 or 1.
pub type Slot = u32;

/// Which rules hold, and what the tables were made with.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Control {
    pub active_slot: Slot,
    pub layout_version: u32,
    /// Counts the changes of rules.
    pub generation: u64,
    /// Nanoseconds of CLOCK_BOOTTIME: from then on `fallback` holds instead of `active_slot`, unless the change is confirmed
    /// before; 0: it need not be, or has been.
    pub confirm_by: u64,
    /// The slot of the rules before the change that waits to be confirmed, or [`NO_RULES`].
    pub fallback: u32,
    pub padding: u32,
    pub hash_key: HashKey,
}

/// Stands for a slot in [`Control::fallback`] where there was no filter before: everything passes.
pub const NO_RULES: u32 = 2;

impl Control {
    /// The rules that hold at a time, which is asked for only while a change waits to be confirmed. `None`: there are none.
    #[inline(always)]
    pub fn slot_in_force(&self, now: impl FnOnce() -> Boottime) -> Option<Slot> {
        if self.confirm_by == 0 || now().nanoseconds() < self.confirm_by {
            return Some(self.active_slot & 1);
        }
        if self.fallback < NO_RULES { Some(self.fallback & 1) } else { None }
    }
}

/// What a set of rules says besides its maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Rules {
    options: u32,
    /// The longest `seq_timeout` of any door, in milliseconds.
    pub longest_timeout: u32,
    /// Bit `n`: TCP flags of value `n` meet some door's condition.
    pub knock_flags: u64,
    /// Class of each TCP flags value: two values are of one class when they meet the same conditions.
    pub flags_class: [u8; 64],
    /// Milliseconds that an established flow lives without a packet.
    pub flow_established: u64,
    /// Milliseconds that a flow lives after a FIN or RST.
    pub flow_closing: u64,
    /// Milliseconds that a UDP flow lives after the last datagram that this machine sent.
    pub flow_udp: u64,
    /// Milliseconds that the answer to an echo request is waited for.
    pub flow_icmp: u64,
    /// Bit `n % 64` of word `n / 64`: IP protocol `n` passes under `policy = "drop"`.
    pub protocols: [u64; 4],
    pub scanners: Scanners,
}

/// When a source is held for scanning; all zero: never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Scanners {
    /// Different closed ports hit.
    pub ports: u32,
    pub padding: u32,
    /// Milliseconds in which they are hit.
    pub within: u64,
    /// Milliseconds that the source is held: at most [`Scanners::HOLD_MAX`].
    pub hold: u64,
}

impl Scanners {
    /// 34 years.
    pub const HOLD_MAX: u64 = 1 << 40;
}

/// A yes-or-no setting of [`Rules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RuleOption {
    Enforce = 1,
    Strict = 2,
    /// Somebody is trusted: the prefixes are worth a look-up.
    Trusted = 4,
    /// Some door has a `target`.
    Targets = 8,
    /// Some door has `same_ttl`.
    SameHopLimit = 16,
    /// `established = "cut"`.
    Cut = 32,
    /// Events for each step of an attempt.
    Stages = 64,
    /// `policy = "drop"`.
    Drop = 128,
    /// `ping = false`.
    NoPing = 256,
    /// Only packets to the `destinations` are filtered.
    Destinations = 512,
    /// Sources that scan are held.
    Scanners = 1024,
    /// Those that are held are kept from public ports too.
    HoldFromPublic = 2048,
}

impl Rules {
    pub const EMPTY: Self = Self {
        options: RuleOption::Enforce as u32,
        longest_timeout: 0,
        knock_flags: 0,
        flags_class: [0; 64],
        flow_established: 0,
        flow_closing: 0,
        flow_udp: 0,
        flow_icmp: 0,
        protocols: [0; 4],
        scanners: Scanners { ports: 0, padding: 0, within: 0, hold: 0 },
    };

    #[inline(always)]
    pub const fn has(&self, option: RuleOption) -> bool {
        self.options & option as u32 != 0
    }

    pub fn set(&mut self, option: RuleOption, on: bool) {
        if on {
            self.options |= option as u32;
        } else {
            self.options &= !(option as u32);
        }
    }

    /// How long flows of a kind live.
    #[inline(always)]
    pub const fn lives(&self, kind: FlowKind) -> FlowLives {
        match kind {
            FlowKind::Tcp => FlowLives { established: self.flow_established, closing: self.flow_closing },
            FlowKind::Udp | FlowKind::Unasked => FlowLives::constant(self.flow_udp),
            FlowKind::Peer => FlowLives::constant(self.flow_icmp),
        }
    }

    /// Whether packets of this IP protocol pass under `policy = "drop"`.
    #[inline(always)]
    pub fn lists_protocol(&self, number: u8) -> bool {
        let [a, b, c, d] = self.protocols;
        let word = match number >> 6 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
        word >> (number & 63) & 1 != 0
    }

    #[inline(always)]
    pub fn meets_some_door(&self, flags: TcpFlags) -> bool {
        self.knock_flags >> flags.bits() & 1 != 0
    }
}

/// What the rules say of one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct PortEntry(u32);

impl PortEntry {
    pub const PUBLIC: u32 = 1 << 16;
    /// Named as closed: in some door's `opens`, or among the `protected`.
    pub const PROTECTED: u32 = 1 << 17;
    /// Named in some door's `opens`.
    pub const OPENED: u32 = 1 << 18;
    /// A step of some door's sequence.
    pub const KNOCK: u32 = 1 << 19;
    /// A step of some door's sequence more than once.
    pub const REPEATED: u32 = 1 << 20;
    /// Doors with a `target` have it as a step.
    pub const TARGETED: u32 = 1 << 21;
    /// Closed without a grant, by [`PortEntry::PROTECTED`] or by the policy.
    pub const CLOSED: u32 = 1 << 22;
    /// Where this machine's DHCP client waits for answers that pass whatever the policy.
    pub const DHCP_CLIENT: u32 = 1 << 23;

    /// `class` groups the ports that the same doors and trusts open; `marks` are the constants above.
    pub const fn new(class: u16, marks: u32) -> Self {
        Self(class as u32 | marks & 0xffff_0000)
    }

    /// The reverse of [`PortEntry::bits`].
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// As it lies in its map.
    pub const fn bits(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub const fn class(self) -> u32 {
        self.0 & 0xffff
    }

    #[inline(always)]
    pub const fn is(self, mark: u32) -> bool {
        self.0 & mark != 0
    }
}

/// Entries in one slot of the ports' map: TCP's, then UDP's.
pub const PORT_ENTRIES: u32 = 2 << 16;

/// Index into the ports' map.
#[inline(always)]
pub const fn port_index(slot: Slot, protocol: Protocol, number: u16) -> u32 {
    (slot & 1) << 17 | (protocol as u32) << 16 | number as u32
}

/// Entries side by side in one value of their map, which the kernel pads to eight bytes.
pub type PortPair = [PortEntry; 2];

/// The pair that an entry is in, and which of the two it is.
#[inline(always)]
pub const fn place_of_port(index: u32) -> (u32, usize) {
    (index / 2, index as usize % 2)
}

/// Words of the map of listening ports: a bit for each port, TCP's words before UDP's.
pub const LISTENER_WORDS: u32 = 2 << 10;

/// Word and bit of a port in the map of listening ports.
#[inline(always)]
pub const fn listener_bit(protocol: Protocol, number: u16) -> (u32, u32) {
    ((protocol as u32) << 10 | (number >> 6) as u32, (number & 63) as u32)
}

/// Numbers of states: the step (from 0) above [`STATE_STEP_SHIFT`], so that a state tells how far it has come.
pub type StateId = u32;

pub const STATE_STEP_SHIFT: u32 = 15;
/// State numbers are below this.
pub const STATES_MAX: u32 = 32 << STATE_STEP_SHIFT;
/// No attempt: where a first knock starts from.
pub const ROOT: StateId = 0;

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

/// Identity of a door: a hash of its name, the same in every set of rules; never 0.
pub type DoorId = u32;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct DoorKey {
    pub slot: Slot,
    pub door: DoorId,
}

/// What follows when a door's sequence is complete.
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
    assert!(size_of::<Control>() == 72);
    assert!(size_of::<Scanners>() == 24);
    assert!(size_of::<Rules>() == 168);
    assert!(size_of::<HitKey>() == 12);
    assert!(size_of::<Hit>() == 16);
    assert!(size_of::<EdgeKey>() == 12);
    assert!(size_of::<Edge>() == 12);
    assert!(size_of::<StateKey>() == 8);
    assert!(size_of::<State>() == 24);
    assert!(size_of::<OccurrenceKey>() == 12);
    assert!(size_of::<DoorKey>() == 8);
    assert!(size_of::<Door>() == 16);
    assert!(size_of::<RelationKey>() == 16);
    assert!(size_of::<TargetKey>() == 24);
    assert!(size_of::<TrustedKey>() == 20);
};
