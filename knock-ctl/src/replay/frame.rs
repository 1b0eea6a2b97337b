//! A frame of which a capture may have the beginning alone.

use knock_common::frame::Frame;

pub(super) struct CapturedFrame<'a> {
    pub(super) bytes: &'a [u8],
    /// Of the frame on the wire.
    pub(super) length: usize,
}

impl Frame for CapturedFrame<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn half_word(&self, offset: usize) -> Option<u16> {
        self.bytes.half_word(offset)
    }

    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.bytes.words(offset)
    }

    fn unfollowed(&self, number: u64) -> u64 {
        number
    }
}
