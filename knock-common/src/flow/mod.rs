//! Flows: the connections that were accepted under a grant, and those that this machine began.
//!
//! Two tables of one kind, set-associative again. That of accepted flows never evicts a live established one, and an address
//! falls into so few of its sets that a flood which forges one can't crowd out the others. That of outgoing flows gives up
//! the one whose time is up first, and spreads over all sets: a machine may well talk to one other alone.

mod five_tuple;
mod set;

pub use five_tuple::{FiveTuple, FlowIdentity, FlowKind};
pub use set::{Eviction, FlowSet, FlowWay};

use crate::grant::GRANTS_PER_SOURCE;

/// Entries in a set.
pub const FLOW_WAYS: usize = 16;

/// Milliseconds that a flow waits for the client's first packet after its SYN.
pub const HALF_OPEN_LIFE: u64 = 30_000;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// The first packet was seen, and no answer to it.
    HalfOpen = 1,
    Established = 2,
    /// A FIN or RST was seen; payload makes it established again, so that a forged one cuts nobody off.
    Closing = 3,
}

impl Phase {
    #[inline(always)]
    const fn from_bits(bits: u64) -> Option<Self> {
        match bits & 3 {
            1 => Some(Self::HalfOpen),
            2 => Some(Self::Established),
            3 => Some(Self::Closing),
            _ => None,
        }
    }
}

/// What a flow keeps of the sequence number of the SYN that began it: 17 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceTag(u32);

const SEQUENCE_BITS: u32 = 0x1_ffff;

impl SequenceTag {
    #[inline(always)]
    pub const fn of(sequence_number: u32) -> Self {
        Self((sequence_number ^ sequence_number >> 15) & SEQUENCE_BITS)
    }

    /// As it lies in the lowest bits; the others are ignored.
    #[inline(always)]
    const fn from_bits(bits: u32) -> Self {
        Self(bits & SEQUENCE_BITS)
    }

    #[inline(always)]
    const fn bits(self) -> u32 {
        self.0
    }
}

/// Which of its source's grants let a connection in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantIndex(u8);

impl GrantIndex {
    /// Of a connection that no grant let in.
    pub const NONE: Self = Self(0);

    /// Of what is no connection, but noted among them.
    const NOTE: Self = Self(Self::LENT);

    const LIMITED: u8 = 1 << 3;
    const LENT: u8 = 1 << 4;

    /// `limited`: the grant allows only so many connections, and has lent this one a token.
    #[inline(always)]
    pub const fn new(index: usize, limited: bool) -> Self {
        Self(index as u8 & 7 | if limited { Self::LIMITED | Self::LENT } else { 0 })
    }

    /// As it lies in the five lowest bits; the others are ignored.
    #[inline(always)]
    const fn from_bits(bits: u64) -> Self {
        Self(bits as u8 & 0x1f)
    }

    #[inline(always)]
    const fn bits(self) -> u64 {
        self.0 as u64
    }

    #[inline(always)]
    pub const fn index(self) -> usize {
        (self.0 & 7) as usize
    }

    #[inline(always)]
    pub const fn is_limited(self) -> bool {
        self.0 & Self::LIMITED != 0
    }

    /// Whether the connection has a token that is not spent yet.
    #[inline(always)]
    pub const fn is_lent(self) -> bool {
        self.0 & Self::LENT != 0
    }

    #[inline(always)]
    pub(crate) const fn spent(self) -> Self {
        Self(self.0 & !Self::LENT)
    }
}

const _: () = assert!(GRANTS_PER_SOURCE == 8);

/// A connection to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    pub phase: Phase,
    pub sequence: SequenceTag,
    pub grant: GrantIndex,
}

impl NewFlow {
    /// One that no grant let in.
    #[inline(always)]
    pub const fn without_grant(phase: Phase) -> Self {
        Self { phase, sequence: SequenceTag::of(0), grant: GrantIndex::NONE }
    }

    /// What is no connection, but noted among them.
    pub(crate) const NOTE: Self =
        Self { phase: Phase::Established, sequence: SequenceTag::of(0), grant: GrantIndex::NOTE };
}

impl Flow {
    /// Whether it is no connection, but a note of one kind or another among the outgoing ones.
    pub const fn is_note(&self) -> bool {
        self.grant.0 == GrantIndex::NOTE.0
    }
}

/// A recorded connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub phase: Phase,
    /// Milliseconds of CLOCK_BOOTTIME.
    pub deadline: u64,
    pub sequence: SequenceTag,
    pub grant: GrantIndex,
}

/// How long flows live, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLives {
    pub established: u64,
    pub closing: u64,
}

impl FlowLives {
    /// The same life, half-open ones aside, whatever the phase.
    #[inline(always)]
    pub const fn constant(life: u64) -> Self {
        Self { established: life, closing: life }
    }

    #[inline(always)]
    pub(crate) const fn of(&self, phase: Phase) -> u64 {
        match phase {
            Phase::HalfOpen => HALF_OPEN_LIFE,
            Phase::Established => self.established,
            Phase::Closing => self.closing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_sequence_number_counts_in_its_tag() {
        for number in [0, u32::MAX, 0x1234_5678] {
            let tag = SequenceTag::of(number);
            for bit in 0..u32::BITS {
                assert_ne!(SequenceTag::of(number ^ 1 << bit), tag, "bit {bit} of {number:08x}");
            }
            assert_eq!(SequenceTag::from_bits(tag.bits() | !SEQUENCE_BITS), tag, "{number:08x}");
            assert!(tag.bits() <= SEQUENCE_BITS, "{number:08x}");
        }
    }

    #[test]
    fn a_token_is_lent_by_a_limited_grant_alone_until_it_is_spent() {
        for index in 0..GRANTS_PER_SOURCE {
            let limited = GrantIndex::new(index, true);
            let all = [
                (GrantIndex::new(index, false), false, false),
                (limited, true, true),
                (limited.spent(), true, false),
            ];
            for (grant, is_limited, is_lent) in all {
                assert_eq!(
                    (grant.index(), grant.is_limited(), grant.is_lent()),
                    (index, is_limited, is_lent)
                );
                assert_eq!(GrantIndex::from_bits(grant.bits() | !0x1f), grant);
            }
        }
    }
}
