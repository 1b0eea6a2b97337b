//! Access to the bytes of a frame.

/// A frame as the network card delivered it, from its Ethernet header on.
pub trait Frame {
    /// Bytes of the whole frame, all buffers of it.
    fn length(&self) -> usize;

    /// Whether the frame has so many bytes; cheaper than its length where it lies in several buffers.
    #[inline(always)]
    fn holds(&self, bytes: usize) -> bool {
        self.length() >= bytes
    }

    /// `N` words of 16 bits in network order, from byte `offset` on; `None` where the frame is shorter. `offset` is even:
    /// all headers are made of such words.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]>;

    /// The same number. In the kernel it has been where the verifier does not follow, which else would examine a loop once
    /// for each way through its earlier turns.
    fn unfollowed(&self, number: u64) -> u64;
}

impl Frame for [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        let (pairs, _) = self.get(offset..)?.as_chunks::<2>();
        pairs.first_chunk().map(|words: &[[u8; 2]; N]| words.map(u16::from_be_bytes))
    }

    fn unfollowed(&self, number: u64) -> u64 {
        number
    }
}
