//! Attempts: how far each source has come through a sequence.
//!
//! They lie in a set-associative table of 16-byte entries rather than a hash map: millions of spoofed first knocks must
//! not push out an honest attempt, so the table itself decides who goes (an expired attempt, else the oldest of those that
//! have come as far as too many others), and it costs a quarter of the memory. Who has no attempt is mostly told by a
//! smaller table of tags.
//!
//! An entry is two words. `progress` is written once, and what a packet goes by is one reading of it; it holds with the
//! state a part of the source's identity: a write that races with the entry's reuse for another source leaves a word that
//! fits neither, and an attempt is lost instead of passed on. The words that a search looks at lie side by side, in two
//! cache lines.
//!
//! An attempt that a wrong knock ends leaves a note of that in its entry, the first to be given up.

mod set;
mod tags;

pub use self::set::{ATTEMPT_WAYS, AttemptSet, Way, is_within};
pub use self::tags::AttemptTags;

use crate::port::Protocol;
use crate::rules::{BROKEN, ROOT, StateId};

const FINGERPRINT_BITS: u32 = 20;

/// A source's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub state: StateId,
    /// When its first knock came, in milliseconds of CLOCK_BOOTTIME; 38 bits, which last 8 years.
    pub started: u64,
    /// TTL or hop limit of its first knock.
    pub hop_limit: u8,
    /// Of its first knock; once it is complete, of its last.
    pub fingerprint: Fingerprint,
}

impl Attempt {
    pub const NONE: Self = Self { state: ROOT, started: 0, hop_limit: 0, fingerprint: Fingerprint(0) };

    #[inline(always)]
    pub const fn exists(&self) -> bool {
        self.state != ROOT && self.state != BROKEN
    }

    /// `None`: it was not ended by a wrong knock, or that is forgotten.
    pub fn broken_by(&self) -> Option<BrokenBy> {
        if self.state != BROKEN {
            return None;
        }
        let protocol = if self.fingerprint.0 >> 16 & 1 == 1 { Protocol::Udp } else { Protocol::Tcp };
        Some(BrokenBy {
            steps: self.hop_limit,
            protocol,
            port: self.fingerprint.0 as u16,
            time: self.started,
        })
    }
}

/// What ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBy {
    /// Those that had been taken.
    pub steps: u8,
    /// Where the wrong knock went.
    pub protocol: Protocol,
    pub port: u16,
    /// In milliseconds of CLOCK_BOOTTIME, 38 bits.
    pub time: u64,
}

impl BrokenBy {
    #[inline(always)]
    const fn note(&self) -> Attempt {
        let fingerprint = Fingerprint((self.protocol as u32) << 16 | self.port as u32);
        Attempt { state: BROKEN, started: self.time, hop_limit: self.steps, fingerprint }
    }
}

/// What tells a repeated knock from a new one: port, source port and, over TCP, the sequence number, in 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u32);

impl Fingerprint {
    /// `sequence_number` is 0 for UDP.
    #[inline(always)]
    pub fn of(protocol: Protocol, port: u16, source_port: u16, sequence_number: u32) -> Self {
        let ports = (protocol as u64) << 63 | (port as u64) << 16 | source_port as u64;
        let mixed = (ports ^ (sequence_number as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self((mixed >> (64 - FINGERPRINT_BITS)) as u32)
    }

    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_part_of_a_knock_counts_in_its_fingerprint() {
        let of = |protocol, port, source_port, sequence_number| {
            let fingerprint = Fingerprint::of(protocol, port, source_port, sequence_number).bits();
            assert!(fingerprint < 1 << FINGERPRINT_BITS);
            fingerprint
        };
        let knocks: [&dyn Fn(u16) -> u32; 4] = [
            &|number| of(Protocol::Tcp, number, 40_000, 7),
            &|number| of(Protocol::Tcp, 7000, number, 7),
            &|number| of(Protocol::Tcp, 7000, 40_000, u32::from(number)),
            &|number| of(Protocol::Tcp, 7000, 40_000, u32::from(number) << 16),
        ];
        for (part, knock) in knocks.into_iter().enumerate() {
            let told_apart = (0..1_000).map(knock).collect::<HashSet<_>>().len();
            assert!(told_apart > 990, "part {part}: {told_apart} of 1,000");
        }
        assert_ne!(of(Protocol::Tcp, 7000, 40_000, 0), of(Protocol::Udp, 7000, 40_000, 0));
    }

    #[test]
    fn what_ended_an_attempt_is_told_as_it_was_noted() {
        for (protocol, port) in [(Protocol::Tcp, 0), (Protocol::Udp, 53), (Protocol::Tcp, u16::MAX)] {
            let by = BrokenBy { steps: 2, protocol, port, time: 1 };
            let note = by.note();
            assert_eq!((note.exists(), note.broken_by()), (false, Some(by)));
        }
        assert_eq!(Attempt::NONE.broken_by(), None);
    }
}
