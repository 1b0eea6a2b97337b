//! A keyed hash that an attacker who picks addresses can't steer.

use crate::address::Address;

/// Words of key that [`HashKey`] holds: one for every word of the longest input, a five-tuple.
pub const KEY_WORDS: usize = 5;

/// A random key, drawn once when the tables are made. It never leaves this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct HashKey(pub [u64; KEY_WORDS]);

impl HashKey {
    #[cfg(test)]
    pub(crate) const OF_TESTS: Self = Self([
        0x9e37_79b9_7f4a_7c15,
        0xd1b5_4a32_d192_ed03,
        0x8cb9_2ba7_2f3d_8dd7,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
    ]);

    /// Hash of a source address.
    #[inline(always)]
    pub fn address(&self, address: &Address) -> u64 {
        let (high, low) = address.words();
        let [k0, k1, ..] = self.0;
        finish(product(high, k0).wrapping_add(product(low, k1)))
    }

    /// Hash of a connection: remote and local address, and the four bytes of ports with the protocol above them.
    #[inline(always)]
    pub fn five_tuple(&self, remote: &Address, local: &Address, ports: u64) -> u64 {
        let (a, b) = remote.words();
        let (c, d) = local.words();
        let [k0, k1, k2, k3, k4] = self.0;
        let sum = product(a, k0)
            .wrapping_add(product(b, k1))
            .wrapping_add(product(c, k2))
            .wrapping_add(product(d, k3))
            .wrapping_add(product(ports, k4));
        finish(sum)
    }
}

/// One term of NH (Black et al., "UMAC", 1999): for any two inputs that were chosen without the key, the sums are equal
/// with a probability of at most 2^-32.
#[inline(always)]
fn product(word: u64, key: u64) -> u64 {
    let low = (word as u32).wrapping_add(key as u32);
    let high = ((word >> 32) as u32).wrapping_add((key >> 32) as u32);
    (low as u64).wrapping_mul(high as u64)
}

/// A bijection that spreads every bit over the word (Stafford's variant 13 of the MurmurHash3 finaliser).
#[inline(always)]
fn finish(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const KEY: HashKey = HashKey::OF_TESTS;

    #[test]
    fn neighbouring_addresses_spread_over_sets_and_tags() {
        let hashes: Vec<u64> =
            (0..65_536u32).map(|n| KEY.address(&Address::from_v4(n.to_be_bytes()))).collect();
        let mut sets = vec![0u32; 4096];
        for hash in &hashes {
            sets[(hash & 4095) as usize] += 1;
        }
        assert!(sets.iter().all(|&count| count < 48), "a set got {:?}", sets.iter().max());
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
    }

    #[test]
    fn the_end_is_that_of_a_published_generator() {
        // SplitMix64 (Steele et al., 2014) seeded with 0: this bijection of the golden ratio's multiples.
        let published = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        let multiples = (1..).map(|n: u64| finish(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert_eq!(multiples.take(3).collect::<Vec<_>>(), published);
    }

    #[test]
    fn every_part_of_a_five_tuple_counts() {
        let (a, b) = (Address::from_v4([192, 0, 2, 1]), Address::from_v4([192, 0, 2, 2]));
        let all = [
            KEY.five_tuple(&a, &b, 1),
            KEY.five_tuple(&b, &a, 1),
            KEY.five_tuple(&a, &b, 2),
            KEY.five_tuple(&a, &b, 1 << 32),
            KEY.five_tuple(&a, &a, 1),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
