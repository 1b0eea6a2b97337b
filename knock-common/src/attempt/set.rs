//! A set of attempts, and who goes when it is full.

use super::{Attempt, BrokenBy, FINGERPRINT_BITS, Fingerprint};
use crate::rules::steps_taken;
use crate::search::Search;
use crate::source::{CHECK_BITS, SourceIdentity, TAG_BITS};
use crate::time::Boottime;
use crate::word::Word;

/// Entries in a set: the attempts of sources whose addresses fall together.
pub const ATTEMPT_WAYS: usize = 16;

const STATE_BITS: u32 = 20;
const STARTED_LOW_BITS: u32 = 22;
const STARTED_HIGH_BITS: u32 = 16;

const _: () = {
    assert!(STATE_BITS + STARTED_LOW_BITS + CHECK_BITS == 64);
    assert!(TAG_BITS + STARTED_HIGH_BITS + FINGERPRINT_BITS + 8 == 64);
    assert!(crate::rules::STATES_MAX == 1 << STATE_BITS);
};

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

impl Way {
    /// Of a source without an attempt.
    pub const ANY: Self = Self(0);

    /// The one with this number, counted around.
    #[inline(always)]
    pub(super) const fn at(number: usize) -> Self {
        Self(number & (ATTEMPT_WAYS - 1))
    }

    /// Below [`ATTEMPT_WAYS`].
    #[inline(always)]
    pub(super) const fn index(self) -> usize {
        self.0 & (ATTEMPT_WAYS - 1)
    }
}

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
            return (Way::ANY, Attempt::NONE);
        };
        let way = Way::at(way);
        match self.entry(way) {
            Some((identity, progress)) => (way, Attempt::read(progress, identity)),
            None => (Way::ANY, Attempt::NONE),
        }
    }

    #[inline(always)]
    fn entries(&self) -> impl Iterator<Item = (&W, &W)> {
        self.identity.iter().zip(&self.progress)
    }

    #[inline(always)]
    fn entry(&self, way: Way) -> Option<(&W, &W)> {
        Some((self.identity.get(way.index())?, self.progress.get(way.index())?))
    }

    /// Where a new attempt goes: in the place of an expired one, else of the oldest of those that have come as far as
    /// [`Crowd::gives_up`] says. `longest_timeout` is in milliseconds, `unfollowed` as [`crate::frame::Frame::unfollowed`].
    #[inline(always)]
    pub fn place(
        &self,
        now: Boottime,
        longest_timeout: u32,
        search: &Search<W>,
        unfollowed: impl Fn(u64) -> u64,
    ) -> Way {
        let now = now.milliseconds();
        search.begin();
        let mut crowd = Crowd::default();
        for (way, (identity, progress)) in self.entries().enumerate() {
            let attempt = Attempt::read(progress, identity);
            if attempt.exists() && is_within(now, attempt.started, longest_timeout) {
                crowd.add(&attempt);
            } else {
                search.consider(way, 0);
            }
        }
        let level = Crowd(unfollowed(crowd.0)).gives_up();
        if search.best().is_none() {
            for (way, (identity, progress)) in self.entries().enumerate() {
                let attempt = Attempt::read(progress, identity);
                search.consider(way, if level_of(&attempt) == level { attempt.started } else { u64::MAX });
            }
        }
        Way::at(search.best().unwrap_or(0))
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

/// Steps up to which a set tells apart how far its attempts have come.
const LEVELS: u32 = 4;

/// Bits of [`Crowd`] for each level.
const LEVEL_BITS: u32 = 16;

/// Steps taken, as far as they are told apart.
#[inline(always)]
fn level_of(attempt: &Attempt) -> u32 {
    steps_taken(attempt.state).min(LEVELS)
}

/// How many attempts of a set have come how far.
#[derive(Clone, Copy, Default)]
struct Crowd(u64);

impl Crowd {
    #[inline(always)]
    fn add(&mut self, attempt: &Attempt) {
        self.0 += 1 << (LEVEL_BITS * (level_of(attempt) - 1));
    }

    /// The level that gives one up in a full set: the lowest, so that attempts that have come further outlive others, but only
    /// as long as those leave it half of the room. Who knows how a sequence begins could else fill the table with attempts
    /// that have come so far, and no first knock would be remembered until the second.
    #[inline(always)]
    fn gives_up(self) -> u32 {
        let mut above = ATTEMPT_WAYS as u64;
        let mut room = ATTEMPT_WAYS as u64 / 2;
        for level in 1..LEVELS {
            above = above.wrapping_sub(self.0 >> (LEVEL_BITS * (level - 1)) & mask(LEVEL_BITS));
            if above <= room {
                return level;
            }
            room /= 2;
        }
        LEVELS
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
    use crate::address::Address;
    use crate::hash::HashKey;

    #[test]
    fn an_entry_that_mixes_two_sources_is_nobodys() {
        let key = HashKey::OF_TESTS;
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

    #[test]
    fn an_attempt_is_found_as_it_was_stored_in_a_copy_too() {
        let source = SourceIdentity::of(&HashKey::OF_TESTS, &Address::from_v4([192, 0, 2, 1]));
        let attempt = Attempt {
            state: 70_000,
            started: 0x3f_1234_5678,
            hop_limit: 64,
            fingerprint: Fingerprint(0xf_00ff),
        };
        let [set, copy]: [AttemptSet<AtomicU64>; 2] = std::array::from_fn(|_| AttemptSet::default());
        for way in 0..ATTEMPT_WAYS {
            set.store(Way(way), source, &attempt);
            copy.copy_from(&set);
            for set in [&set, &copy] {
                assert_eq!(set.find(source, &Search::default()), (Way(way), attempt));
            }
            set.forget(Way(way));
        }
    }
}
