//! What tables know a source by.

use crate::address::Address;
use crate::hash::HashKey;

/// Places where it is noted that some source was granted something, a byte each; a power of two.
pub const GRANTED_MARKS: u32 = 1 << 20;

/// Bits of a source that the entry of its attempt keeps in its two words, besides those that choose the set.
pub(crate) const CHECK_BITS: u32 = 22;
pub(crate) const TAG_BITS: u32 = 20;

/// A source, by 64 bits of a keyed hash of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceIdentity {
    hash: u64,
}

impl SourceIdentity {
    #[inline(always)]
    pub fn of(key: &HashKey, source: &Address) -> Self {
        Self { hash: key.address(source) }
    }

    /// Where it is noted that it was granted something, in a table of [`GRANTED_MARKS`].
    #[inline(always)]
    pub const fn mark(&self) -> u32 {
        (self.hash >> 22) as u32 & (GRANTED_MARKS - 1)
    }

    /// The set of its attempt in a table of `sets` sets, a power of two.
    #[inline(always)]
    pub const fn set(&self, sets: u32) -> u32 {
        self.hash as u32 & sets.wrapping_sub(1)
    }

    /// Never 0, which stands where there is no source.
    #[inline(always)]
    pub(crate) const fn short_tag(&self) -> u8 {
        match (self.hash >> 56) as u8 {
            0 => 1,
            tag => tag,
        }
    }

    #[inline(always)]
    pub(crate) const fn tag(&self) -> u64 {
        self.hash >> (64 - TAG_BITS)
    }

    #[inline(always)]
    pub(crate) const fn check(&self) -> u64 {
        self.hash >> (64 - TAG_BITS - CHECK_BITS) & ((1 << CHECK_BITS) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_attempts_keeps_all_of_a_source() {
        let source = SourceIdentity { hash: 0x0123_4567_89ab_cdef };
        let set_bits = 64 - TAG_BITS - CHECK_BITS;
        let kept =
            source.tag() << (64 - TAG_BITS) | source.check() << set_bits | source.set(1 << set_bits) as u64;
        assert_eq!(kept, source.hash);
        assert_eq!(source.set(16), 0xf);
        assert_eq!(source.set(1), 0);
    }

    #[test]
    fn a_mark_is_one_of_the_places_that_there_are() {
        let mark = |hash| SourceIdentity { hash }.mark();
        assert_eq!(mark(u64::MAX), GRANTED_MARKS - 1);
        assert_eq!((mark(0), mark(1 << 21), mark(1 << 42)), (0, 0, 0));
        assert_eq!((mark(1 << 22), mark(1 << 41)), (1, GRANTED_MARKS / 2));
    }

    #[test]
    fn a_short_tag_is_never_0() {
        let short_tag = |hash| SourceIdentity { hash }.short_tag();
        assert_eq!([0, 1 << 56, 2 << 56, u64::MAX].map(short_tag), [1, 1, 2, 255]);
    }
}
