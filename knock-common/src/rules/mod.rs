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
    // 34 years are 12,418 days.
    assert!(Scanners::HOLD_MAX / 86_400_000 > 12_418);
    assert!(size_of::<Control>() == 72);
    assert!(size_of::<Scanners>() == 24);
    assert!(size_of::<Rules>() == 168);
};

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [RuleOption; 13] = [
        RuleOption::Enforce,
        RuleOption::Strict,
        RuleOption::Trusted,
        RuleOption::Targets,
        RuleOption::SameHopLimit,
        RuleOption::Cut,
        RuleOption::Stages,
        RuleOption::Drop,
        RuleOption::NoPing,
        RuleOption::Destinations,
        RuleOption::Scanners,
        RuleOption::HoldFromPublic,
        RuleOption::Drops,
    ];

    const CONFIRMED: Control = Control {
        active_slot: 0,
        layout_version: LAYOUT_VERSION,
        generation: 1,
        confirm_by: 0,
        fallback: NO_RULES,
        padding: 0,
        hash_key: HashKey::OF_TESTS,
    };

    #[test]
    fn a_change_on_trial_holds_until_its_time_and_then_what_was_before() {
        let slot_at = |confirm_by, fallback, now| {
            let control = Control { active_slot: 1, confirm_by, fallback, ..CONFIRMED };
            control.slot_in_force(|| Boottime::from_nanoseconds(now))
        };
        assert_eq!(slot_at(0, 0, 1000), Some(1));
        assert_eq!([999, 1000, 1001].map(|now| slot_at(1000, 0, now)), [Some(1), Some(0), Some(0)]);
        assert_eq!([999, 1000, 1001].map(|now| slot_at(1000, NO_RULES, now)), [Some(1), None, None]);
        assert_eq!(slot_at(1000, 1, 1000), Some(1));
        assert_eq!(slot_at(1000, NO_RULES + 1, 1000), None);
    }

    #[test]
    fn time_is_asked_for_only_while_a_change_is_on_trial() {
        assert_eq!(CONFIRMED.slot_in_force(|| panic!("the time was asked for")), Some(0));
    }

    #[test]
    fn each_option_is_set_by_itself() {
        for option in OPTIONS {
            let mut rules = Rules::EMPTY;
            rules.set(RuleOption::Enforce, false);
            assert_eq!(OPTIONS.map(|other| rules.has(other)), [false; 13]);
            rules.set(option, true);
            assert_eq!(OPTIONS.map(|other| rules.has(other)), OPTIONS.map(|other| other == option));
            for other in OPTIONS {
                rules.set(other, true);
            }
            rules.set(option, false);
            assert_eq!(OPTIONS.map(|other| rules.has(other)), OPTIONS.map(|other| other != option));
        }
    }

    #[test]
    fn protocols_are_listed_one_by_one() {
        for number in 0..=255 {
            let mut rules = Rules::EMPTY;
            rules.protocols[number as usize / 64] |= 1 << (number % 64);
            let listed: Vec<u8> = (0..=255).filter(|other| rules.lists_protocol(*other)).collect();
            assert_eq!(listed, [number]);
        }
    }

    #[test]
    fn flags_are_listed_one_by_one() {
        for number in 0..64 {
            let rules = Rules { knock_flags: 1 << number, ..Rules::EMPTY };
            let meets = |bits: &u8| rules.meets_some_door(TcpFlags::from_header(*bits));
            assert_eq!((0..64).filter(meets).collect::<Vec<u8>>(), [number]);
        }
    }
}
