//! Access to the bytes of a frame.

/// As many words as are read at once: those of an IPv4 header without options.
pub const WORDS_MAX: usize = 5;

/// A frame as the network card delivered it, from its Ethernet header on.
pub trait Frame {
    /// Bytes of the whole frame, all buffers of it.
    fn length(&self) -> usize;

    /// Whether the frame has so many bytes; cheaper than its length where it lies in several buffers.
    #[inline(always)]
    fn holds(&self, bytes: usize) -> bool {
        self.length() >= bytes
    }

    /// The 16 bits in network order at byte `offset`; `None` where the frame is shorter. `offset` is even.
    fn half_word(&self, offset: usize) -> Option<u16>;

    /// `N` words of 32 bits in network order, at most [`WORDS_MAX`], from byte `offset` on; `None` where the frame is shorter.
    /// `offset` is even.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;

    /// The same number. In the kernel it has been where the verifier does not follow, which else would examine a loop once
    /// for each way through its earlier turns.
    fn unfollowed(&self, number: u64) -> u64;
}

impl Frame for [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn half_word(&self, offset: usize) -> Option<u16> {
        self.get(offset..)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let (words, _) = self.get(offset..)?.as_chunks::<4>();
        words.first_chunk().map(|words: &[[u8; 4]; N]| words.map(u32::from_be_bytes))
    }

    fn unfollowed(&self, number: u64) -> u64 {
        number
    }
}
