//! Looking through the ways of a set for one.

use crate::word::Word;

/// What a search has found so far.
///
/// It lies in memory that the caller lends: in the kernel in a map, whose contents the verifier does not follow. It would
/// otherwise examine the rest of the program once for each way that a search can end at.
#[derive(Default)]
#[repr(C)]
pub struct Search<W> {
    rank: W,
    way: W,
}

/// A way that is worse than any.
const NOTHING: u64 = u64::MAX;

impl<W: Word> Search<W> {
    #[inline(always)]
    pub fn begin(&self) {
        self.rank.store(NOTHING);
        self.way.store(0);
    }

    /// Keeps `way` if its rank is lower than that of the best so far; `u64::MAX` never is.
    #[inline(always)]
    pub fn consider(&self, way: usize, rank: u64) {
        if rank < self.rank.load() {
            self.rank.store(rank);
            self.way.store(way as u64);
        }
    }

    /// The lowest rank; `u64::MAX` where nothing was found.
    #[inline(always)]
    pub fn lowest(&self) -> u64 {
        self.rank.load()
    }

    /// The way of the lowest rank.
    #[inline(always)]
    pub fn best(&self) -> Option<usize> {
        if self.rank.load() == NOTHING { None } else { Some(self.way.load() as usize) }
    }
}

const _: () = assert!(size_of::<Search<u64>>() == 16);
