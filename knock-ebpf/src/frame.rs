//! The frame behind a program's context.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use knock_common::frame::Frame;

use crate::maps::Scratch;
use crate::verifier::masked;
use crate::word::words_at;

/// Headers are looked for below this offset: two VLAN tags, and IPv6 with its extension headers, fit. The bound is what lets
/// the verifier follow the pointer arithmetic.
const OFFSET_MAX: usize = 0x7fff;

/// A frame that a program can be made for.
pub trait PacketFrame<'a, C>: Frame {
    fn of(context: &C, scratch: &'a Scratch) -> Self;
}

/// A frame in one buffer.
pub struct LinearFrame<'a> {
    start: usize,
    end: usize,
    scratch: &'a Scratch,
}

impl<'a> PacketFrame<'a, XdpContext> for LinearFrame<'a> {
    #[inline(always)]
    fn of(context: &XdpContext, scratch: &'a Scratch) -> Self {
        Self { start: context.data(), end: context.data_end(), scratch }
    }
}

impl LinearFrame<'_> {
    /// Of so many bytes within the packet, as is checked here and proved by the verifier again. `None`: it does not have them.
    #[inline(always)]
    fn address_of(&self, offset: usize, bytes: usize) -> Option<usize> {
        if offset > OFFSET_MAX {
            return None;
        }
        let at = self.start + masked::<OFFSET_MAX>(offset);
        if at + bytes > self.end { None } else { Some(at) }
    }
}

impl Frame for LinearFrame<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn half_word(&self, offset: usize) -> Option<u16> {
        let at = self.address_of(offset, size_of::<u16>())?;
        // SAFETY: the address is that of two bytes of the packet. Packet data begins at an even address, and the offset is even.
        Some(u16::from_be(unsafe { (at as *const u16).read() }))
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let at = self.address_of(offset, size_of::<[u32; N]>())?;
        // SAFETY: the address is that of so many words of the packet.
        Some(unsafe { words_at(at) }.map(u32::from_be))
    }

    #[inline(always)]
    fn unfollowed(&self, number: u64) -> u64 {
        self.scratch.unfollowed(number)
    }
}

/// What can copy out the part of a frame that does not lie in its first buffer.
pub trait Buffers {
    /// Bytes of the whole frame.
    fn length(&self) -> usize;
    /// `false`: the frame is not as long.
    fn copy(&self, offset: u32, bytes: &mut [u8]) -> bool;
}

/// A frame whose tail may lie in further buffers.
pub struct MultiBufferFrame<'a, B> {
    head: LinearFrame<'a>,
    buffers: B,
}

impl<'a> PacketFrame<'a, XdpContext> for MultiBufferFrame<'a, *mut xdp_md> {
    #[inline(always)]
    fn of(context: &XdpContext, scratch: &'a Scratch) -> Self {
        Self { head: LinearFrame::of(context, scratch), buffers: context.as_ptr().cast() }
    }
}

impl<'a> PacketFrame<'a, TcContext> for MultiBufferFrame<'a, *mut __sk_buff> {
    #[inline(always)]
    fn of(context: &TcContext, scratch: &'a Scratch) -> Self {
        let head = LinearFrame { start: context.data(), end: context.data_end(), scratch };
        Self { head, buffers: context.as_ptr().cast() }
    }
}

impl Buffers for *mut xdp_md {
    #[inline(always)]
    fn length(&self) -> usize {
        // SAFETY: this is the context that the program was called with.
        unsafe { bpf_xdp_get_buff_len(*self) as usize }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, bytes: &mut [u8]) -> bool {
        // SAFETY: the helper checks the range against the whole frame and writes exactly that many bytes.
        unsafe { bpf_xdp_load_bytes(*self, offset, bytes.as_mut_ptr().cast(), bytes.len() as u32) == 0 }
    }
}

impl Buffers for *mut __sk_buff {
    #[inline(always)]
    fn length(&self) -> usize {
        // SAFETY: this is the context that the program was called with.
        unsafe { (**self).len as usize }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, bytes: &mut [u8]) -> bool {
        // SAFETY: the helper checks the range against the whole frame and writes exactly that many bytes.
        unsafe {
            bpf_skb_load_bytes((*self).cast(), offset, bytes.as_mut_ptr().cast(), bytes.len() as u32) == 0
        }
    }
}

impl<B: Buffers> Frame for MultiBufferFrame<'_, B> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.buffers.length()
    }

    #[inline(always)]
    fn holds(&self, bytes: usize) -> bool {
        self.head.length() >= bytes || self.buffers.length() >= bytes
    }

    #[inline(always)]
    fn half_word(&self, offset: usize) -> Option<u16> {
        if let Some(half_word) = self.head.half_word(offset) {
            return Some(half_word);
        }
        if offset > OFFSET_MAX {
            return None;
        }
        let mut bytes = [0; 2];
        if self.buffers.copy(offset as u32, &mut bytes) { Some(u16::from_be_bytes(bytes)) } else { None }
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        if let Some(words) = self.head.words(offset) {
            return Some(words);
        }
        if offset > OFFSET_MAX {
            return None;
        }
        let mut words = [[0; 4]; N];
        let copied = self.buffers.copy(offset as u32, words.as_flattened_mut());
        if copied { Some(words.map(u32::from_be_bytes)) } else { None }
    }

    #[inline(always)]
    fn unfollowed(&self, number: u64) -> u64 {
        self.head.unfollowed(number)
    }
}
