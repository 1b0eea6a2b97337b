//! Which sources may have an attempt in a set, in two words.

use super::set::{ATTEMPT_WAYS, Way};
use crate::source::SourceIdentity;
use crate::word::Word;

const BYTES: usize = size_of::<u64>();
const WORDS: usize = ATTEMPT_WAYS / BYTES;

/// A byte of each source that has or had an attempt in a set, by way.
///
/// They lie in a table of their own, a sixteenth of that of the attempts: it stays in a cache that the attempts don't fit
/// into, and most sources without an attempt are told by it alone.
#[derive(Default)]
#[repr(C)]
pub struct AttemptTags<W> {
    words: [W; WORDS],
}

impl<W: Word> AttemptTags<W> {
    /// `false`: the source has no attempt in the set.
    #[inline(always)]
    pub fn may_hold(&self, source: SourceIdentity) -> bool {
        let tag = source.short_tag() as u64 * LOWEST_BITS;
        self.words.iter().fold(0, |found, word| found | zero_bytes(word.load() ^ tag)) != 0
    }

    /// To be called whenever an attempt is stored. A race with another source's leaves an attempt that is not found.
    #[inline(always)]
    pub fn note(&self, way: Way, source: SourceIdentity) {
        if let Some(word) = self.words.get(way.index() / BYTES) {
            word.store_byte(way.index() % BYTES, source.short_tag());
        }
    }

    /// Takes over the tags of another set, each word as it is at that moment.
    pub fn copy_from(&self, other: &AttemptTags<impl Word>) {
        for (word, others) in self.words.iter().zip(&other.words) {
            word.store(others.load());
        }
    }
}

/// The lowest bit of each byte.
const LOWEST_BITS: u64 = u64::MAX / 0xff;

/// Not 0 if a byte of `word` is 0 (Warren, "Hacker's Delight", 6-1).
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOWEST_BITS) & !word & (LOWEST_BITS << 7)
}

const _: () = assert!(size_of::<AttemptTags<u64>>() == ATTEMPT_WAYS);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::address::Address;
    use crate::hash::HashKey;

    fn source(number: u32) -> SourceIdentity {
        SourceIdentity::of(&HashKey::OF_TESTS, &Address::from_v4(number.to_be_bytes()))
    }

    #[test]
    fn a_zero_byte_is_found_wherever_it_is() {
        for byte in 0..BYTES {
            for others in [0x01, 0x7f, 0x80, 0xff] {
                let word = others * LOWEST_BITS;
                assert_eq!(zero_bytes(word), 0, "{word:016x}");
                assert_ne!(zero_bytes(word & !(0xff << (8 * byte))), 0, "{byte} of {word:016x}");
            }
        }
    }

    #[test]
    fn every_source_that_was_noted_may_be_there_and_few_others() {
        let tags = AttemptTags::<AtomicU64>::default();
        assert!((0..10_000).all(|number| !tags.may_hold(source(number))), "in an empty set");
        for way in 0..ATTEMPT_WAYS {
            tags.note(Way::at(way), source(way as u32));
        }
        assert!((0..ATTEMPT_WAYS as u32).all(|number| tags.may_hold(source(number))));
        let others = (1_000..101_000).filter(|&number| tags.may_hold(source(number))).count();
        assert!(others < 8_000, "{others} of 100,000");

        for way in 0..ATTEMPT_WAYS {
            tags.note(Way::at(way), source(7));
        }
        assert!(tags.may_hold(source(7)), "in each word");
        for way in 0..ATTEMPT_WAYS {
            tags.note(Way::at(way), source(way as u32));
        }

        let copy = AttemptTags::<AtomicU64>::default();
        copy.copy_from(&tags);
        assert!((0..ATTEMPT_WAYS as u32).all(|number| copy.may_hold(source(number))));
    }
}
