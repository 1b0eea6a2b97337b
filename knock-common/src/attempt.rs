//! Attempts: how far each source has come through a sequence.
//!
//! They lie in a set-associative table of 16-byte entries rather than a hash map: millions of spoofed first knocks must
//! not push out an honest attempt, so the table itself decides who goes (an expired attempt, else the one that has come
//! least far, else the oldest), and it costs a quarter of the memory.
//!
//! An entry is two words. `progress` is read once and written once, and holds with the state a part of the source's
//! identity: a write that races with the entry's reuse for another source leaves a word that fits neither, and an
//! attempt is lost instead of passed on. The words that a search looks at lie side by side, in two cache lines.
//!
//! An attempt that a wrong knock ends leaves a note of that in its entry, the first to be given up.

use crate::address::Address;
use crate::hash::HashKey;
use crate::port::Protocol;
use crate::rules::{BROKEN, ROOT, StateId, steps_taken};
use crate::search::Search;
use crate::time::Boottime;
use crate::word::Word;

/// Places where it is noted that some source was granted something, a byte each; a power of two.
pub const GRANTED_MARKS: u32 = 1 << 18;

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

    /// Where it is noted that a source was granted something, in a table of [`GRANTED_MARKS`].
    #[inline(always)]
    pub const fn mark(&self) -> u32 {
        (self.hash >> 22) as u32 & (GRANTED_MARKS - 1)
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

/// The attempts of the sources that share a set.
#[derive(Default)]
#[repr(C)]
pub struct AttemptSet<W> {
    /// Tag, high bits of the start, fingerprint, hop limit.
    identity: [W; ATTEMPT_WAYS],
    /// State, low bits of the start, check.
    progress: [W; ATTEMPT_WAYS],
}

/// Where in its set an attempt lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way(usize);

impl Attempt {
    /// The two words of an entry.
    #[inline(always)]
    fn read(progress: &impl Word, identity: &impl Word) -> Self {
        let progress = progress.load();
        let identity = identity.load();
        let started_low = progress >> CHECK_BITS & mask(STARTED_LOW_BITS);
        let started_high = identity >> (FINGERPRINT_BITS + 8) & mask(STARTED_HIGH_BITS);
        Self {
            state: (progress >> (STARTED_LOW_BITS + CHECK_BITS)) as u32,
            started: started_high << STARTED_LOW_BITS | started_low,
            hop_limit: identity as u8,
            fingerprint: Fingerprint((identity >> 8 & mask(FINGERPRINT_BITS)) as u32),
        }
    }
}

impl<W: Word> AttemptSet<W> {
    /// The source's attempt, expired or not, or one that does not exist.
    #[inline(always)]
    pub fn find(&self, source: SourceIdentity, search: &Search<W>) -> (Way, Attempt) {
        search.begin();
        let tag = source.tag() << (64 - TAG_BITS);
        for (way, (identity, progress)) in self.entries().enumerate() {
            if (identity.load() ^ tag) >> (64 - TAG_BITS) == 0
                && progress.load() & mask(CHECK_BITS) == source.check()
            {
                search.consider(way, 0);
            }
        }
        let Some(way) = search.best() else {
            return (Way(0), Attempt::NONE);
        };
        let way = way & (ATTEMPT_WAYS - 1);
        match self.entry(Way(way)) {
            Some((identity, progress)) => (Way(way), Attempt::read(progress, identity)),
            None => (Way(0), Attempt::NONE),
        }
    }

    #[inline(always)]
    fn entries(&self) -> impl Iterator<Item = (&W, &W)> {
        self.identity.iter().zip(&self.progress)
    }

    #[inline(always)]
    fn entry(&self, way: Way) -> Option<(&W, &W)> {
        let way = way.0 & (ATTEMPT_WAYS - 1);
        Some((self.identity.get(way)?, self.progress.get(way)?))
    }

    /// Where a new attempt goes: in the place of an expired one, else of the one that has come least far, else of the
    /// oldest. `longest_timeout` is in milliseconds.
    #[inline(always)]
    pub fn place(&self, now: Boottime, longest_timeout: u32, search: &Search<W>) -> Way {
        let now = now.milliseconds();
        search.begin();
        for (way, (identity, progress)) in self.entries().enumerate() {
            let attempt = Attempt::read(progress, identity);
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
        let Some((identity_word, progress_word)) = self.entry(way) else {
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
        identity_word.store(identity);
        progress_word.store(progress);
    }

    /// Ends the attempt of `source` at `way`, and notes why.
    #[inline(always)]
    pub fn break_off(&self, way: Way, source: SourceIdentity, by: &BrokenBy) {
        self.store(way, source, &by.note());
    }

    #[inline(always)]
    pub fn forget(&self, way: Way) {
        if let Some((identity, progress)) = self.entry(way) {
            progress.store(0);
            identity.store(0);
        }
    }

    /// Takes over the entries of another set, each as it is at that moment.
    pub fn copy_from(&self, other: &AttemptSet<impl Word>) {
        for ((identity, progress), (others_identity, others_progress)) in self.entries().zip(other.entries())
        {
            identity.store(others_identity.load());
            progress.store(others_progress.load());
        }
    }

    /// The attempts that are not over, for counting. `longest_timeout` is in milliseconds.
    pub fn live(&self, now: Boottime, longest_timeout: u32) -> impl Iterator<Item = Attempt> + '_ {
        let now = now.milliseconds();
        self.entries()
            .map(|(identity, progress)| Attempt::read(progress, identity))
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
        Word::store(&first.progress[0], Word::load(&second.progress[0]));
        let search = Search::default();
        assert!(sources.iter().all(|&source| !first.find(source, &search).1.exists()));
        assert!(sources.iter().any(|&source| second.find(source, &search).1.exists()));
    }
}
