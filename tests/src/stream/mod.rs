//! Random rule sets and random traffic for them, the same for the same seed.
//!
//! Few sources, few ports and times around the rules' own limits, so that attempts meet every edge often: sequences
//! complete, knocks repeat, connections outlive their grants, and this machine begins some of its own.

mod bytes;
mod client;
mod noise;
mod rules;
mod talk;
mod traffic;

use crate::model::Rules;
use proptest::strategy::Strategy;
use traffic::Traffic;

/// A rule set and what arrives and leaves under it.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What the rules were made from, and the packets too but for [`Stream::from_bytes`]: `Stream::from_seed(seed,
    /// packets.len())` makes them again.
    pub seed: u64,
    pub rules: Rules,
    pub packets: Vec<TimedFrame>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedFrame {
    /// Milliseconds on a clock that never runs backwards.
    pub at_ms: u64,
    pub direction: Direction,
    pub frame: Vec<u8>,
}

/// Of a frame at this machine's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Arriving,
    Leaving,
}

impl Stream {
    pub fn from_seed(seed: u64, packets: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let rules = rules::random(&mut random);
        let packets = Traffic::new(&rules, random).take(packets).collect();
        Self { seed, rules, packets }
    }
}

/// Streams of `packets` packets, for property tests.
pub fn streams(packets: usize) -> impl Strategy<Value = Stream> {
    proptest::num::u64::ANY.prop_map(move |seed| Stream::from_seed(seed, packets)).no_shrink()
}

#[cfg(test)]
mod tests;
