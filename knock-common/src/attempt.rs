//! Attempts: how far each source has come through a sequence.
//!
//! They lie in a set-associative table of 16-byte entries rather than a hash map: millions of spoofed first knocks must
//! not push out an honest attempt, so the table itself decides who goes (an expired attempt, else the one that has come
//! least far, else the oldest), and it costs a quarter of the memory.
//!
//! An entry is two words. `progress` is read once and written once, and holds with the state a part of the source's
//! identity: a write that races with the entry's reuse for another source leaves a word that fits neither, and an
//! attempt is lost instead of passed on.

use crate::address::Address;
use crate::hash::HashKey;
use crate::port::Protocol;
use crate::rules::{ROOT, StateId, steps_taken};
use crate::search::Search;
use crate::time::Boottime;
use crate::word::Word;

/// Entries in a set: the attempts of sources whose addresses fall together.
pub const ATTEMPT_WAYS: usize = 16;

const STATE_BITS: u32 = 20;
const STARTED_LOW_BITS: u32 = 22;
const CHECK_BITS: u32 = 22;
const TAG_BITS: u32 = 20;
const STARTED_HIGH_BITS: u32 = 16;
const FINGERPRINT_BITS: u32 = 20;

const _: () = {
    assert!(STATE_BITS + STARTED_LOW_BITS + CHECK_BITS == 64);
    assert!(TAG_BITS + STARTED_HIGH_BITS + FINGERPRINT_BITS + 8 == 64);
    assert!(crate::rules::STATES_MAX == 1 << STATE_BITS);
};

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
        self.state != ROOT
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

/// What an entry keeps of a source's address: 42 bits of a keyed hash besides those that choose the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceIdentity {
    hash: u64,
}

impl SourceIdentity {
    #[inline(always)]
    pub fn of(key: &HashKey, source: &Address) -> Self {
        Self { hash: key.address(source) }
    }

    /// The set in a table of `sets` sets, a power of two.
    #[inline(always)]
    pub const fn set(&self, sets: u32) -> u32 {
        self.hash as u32 & sets.wrapping_sub(1)
    }

    #[inline(always)]
    const fn tag(&self) -> u64 {
        self.hash >> (64 - TAG_BITS)
    }

    #[inline(always)]
    const fn check(&self) -> u64 {
        self.hash >> (64 - TAG_BITS - CHECK_BITS) & mask(CHECK_BITS)
    }
}

/// One way of a set.
#[derive(Default)]
#[repr(C)]
struct Entry<W> {
    /// State, low bits of the start, check.
    progress: W,
    /// Tag, high bits of the start, fingerprint, hop limit.
    identity: W,
}

impl<W: Word> Entry<W> {
    #[inline(always)]
    fn read(&self) -> Attempt {
        let progress = self.progress.load();
        let identity = self.identity.load();
        let started_low = progress >> CHECK_BITS & mask(STARTED_LOW_BITS);
        let started_high = identity >> (FINGERPRINT_BITS + 8) & mask(STARTED_HIGH_BITS);
        Attempt {
            state: (progress >> (STARTED_LOW_BITS + CHECK_BITS)) as u32,
            started: started_high << STARTED_LOW_BITS | started_low,
            hop_limit: identity as u8,
            fingerprint: Fingerprint((identity >> 8 & mask(FINGERPRINT_BITS)) as u32),
        }
    }
}

/// The attempts of the sources that share a set.
#[derive(Default)]
#[repr(C)]
pub struct AttemptSet<W> {
    entries: [Entry<W>; ATTEMPT_WAYS],
}

/// Where in its set an attempt lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way(usize);

impl<W: Word> AttemptSet<W> {
    /// The source's attempt, expired or not, or one that does not exist.
    #[inline(always)]
    pub fn find(&self, source: SourceIdentity, search: &Search<W>) -> (Way, Attempt) {
        search.begin();
        for (way, entry) in self.entries.iter().enumerate() {
            let tag = entry.identity.load() >> (64 - TAG_BITS);
            let check = entry.progress.load() & mask(CHECK_BITS);
            if tag ^ source.tag() | check ^ source.check() == 0 {
                search.consider(way, 0);
            }
        }
        let way = search.best().unwrap_or(0) & (ATTEMPT_WAYS - 1);
        let mut attempt = match self.entries.get(way) {
            Some(entry) => entry.read(),
            None => Attempt::NONE,
        };
        if search.best().is_none() {
            attempt.state = ROOT;
        }
        (Way(way), attempt)
    }

    /// Where a new attempt goes: in the place of an expired one, else of the one that has come least far, else of the
    /// oldest. `longest_timeout` is in milliseconds.
    #[inline(always)]
    pub fn place(&self, now: Boottime, longest_timeout: u32, search: &Search<W>) -> Way {
        let now = now.milliseconds();
        search.begin();
        for (way, entry) in self.entries.iter().enumerate() {
            let attempt = entry.read();
            let rank = if attempt.exists() && is_within(now, attempt.started, longest_timeout) {
                (steps_taken(attempt.state) as u64) << 48 | attempt.started
            } else {
                0
            };
            search.consider(way, rank);
        }
        Way(search.best().unwrap_or(0))
    }

    /// Writes an attempt of `source` at `way`.
    #[inline(always)]
    pub fn store(&self, way: Way, source: SourceIdentity, attempt: &Attempt) {
        let Some(entry) = self.entries.get(way.0 & (ATTEMPT_WAYS - 1)) else {
            return;
        };
        let started_low = attempt.started & mask(STARTED_LOW_BITS);
        let started_high = attempt.started >> STARTED_LOW_BITS & mask(STARTED_HIGH_BITS);
        let identity = source.tag() << (64 - TAG_BITS)
            | started_high << (FINGERPRINT_BITS + 8)
            | (attempt.fingerprint.0 as u64) << 8
            | attempt.hop_limit as u64;
        let progress = (attempt.state as u64) << (STARTED_LOW_BITS + CHECK_BITS)
            | started_low << CHECK_BITS
            | source.check();
        entry.identity.store(identity);
        entry.progress.store(progress);
    }

    #[inline(always)]
    pub fn forget(&self, way: Way) {
        if let Some(entry) = self.entries.get(way.0 & (ATTEMPT_WAYS - 1)) {
            entry.progress.store(0);
            entry.identity.store(0);
        }
    }

    /// Takes over the entries of another set, each as it is at that moment.
    pub fn copy_from(&self, other: &AttemptSet<impl Word>) {
        for (own, others) in self.entries.iter().zip(&other.entries) {
            own.identity.store(others.identity.load());
            own.progress.store(others.progress.load());
        }
    }

    /// The attempts that are not over, for counting. `longest_timeout` is in milliseconds.
    pub fn live(&self, now: Boottime, longest_timeout: u32) -> impl Iterator<Item = Attempt> + '_ {
        let now = now.milliseconds();
        self.entries
            .iter()
            .map(Entry::read)
            .filter(move |attempt| attempt.exists() && is_within(now, attempt.started, longest_timeout))
    }
}

/// Whether `now` is at most `timeout` milliseconds after `started`, both of them in the bits that an entry keeps; a start
/// in the future is none.
#[inline(always)]
pub fn is_within(now: u64, started: u64, timeout: u32) -> bool {
    now.wrapping_sub(started) & mask(STARTED_LOW_BITS + STARTED_HIGH_BITS) <= timeout as u64
}

#[inline(always)]
const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

const _: () = assert!(size_of::<AttemptSet<u64>>() == 256);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn an_entry_that_mixes_two_sources_is_nobodys() {
        let key = HashKey([1, 2, 3, 4, 5]);
        let sources = [[192, 0, 2, 1], [192, 0, 2, 2]]
            .map(|octets| SourceIdentity::of(&key, &Address::from_v4(octets)));
        let attempt = Attempt { state: 1, started: 1, hop_limit: 64, fingerprint: Fingerprint(0) };
        let sets: [AttemptSet<AtomicU64>; 2] = std::array::from_fn(|_| AttemptSet::default());
        for (set, source) in sets.iter().zip(sources) {
            set.store(Way(0), source, &attempt);
        }
        // What a write leaves that races with the reuse of its entry.
        let [first, second] = sets;
        Word::store(&first.entries[0].progress, Word::load(&second.entries[0].progress));
        let search = Search::default();
        assert!(sources.iter().all(|&source| !first.find(source, &search).1.exists()));
        assert!(sources.iter().any(|&source| second.find(source, &search).1.exists()));
    }
}
