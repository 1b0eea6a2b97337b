//! The compiled rules: what userspace writes into maps and the kernel program reads.
//!
//! All doors' sequences are one automaton. A *hit* is a packet on a port of some sequence; its *symbol* says which doors'
//! conditions it meets there; an *edge* leads from a state by a symbol to the next state. So a packet costs the same few
//! look-ups however many doors there are. Two complete sets of rules exist side by side, and [`Control::active_slot`]
//! says which one holds: every key begins with its slot.

mod automaton;
mod door;
mod port_entry;

pub use automaton::*;
pub use door::*;
pub use port_entry::*;

use crate::flags::TcpFlags;
use crate::flow::{FlowKind, FlowLives};
use crate::hash::HashKey;
use crate::time::Boottime;

/// Changes whenever the layout of a map or the meaning of its values does.
pub const LAYOUT_VERSION: u32 = 7;

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
    /// Events for a sample of what is dropped.
    Drops = 4096,
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

const _: () = {
    assert!(size_of::<Control>() == 72);
    assert!(size_of::<Scanners>() == 24);
    assert!(size_of::<Rules>() == 168);
};
