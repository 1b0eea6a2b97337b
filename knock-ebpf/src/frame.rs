//! The frame behind a program's context.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use knock_common::frame::Frame;

use crate::maps::Scratch;
use crate::verifier::masked;

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

impl Frame for LinearFrame<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        if offset > OFFSET_MAX {
            return None;
        }
        let at = self.start + masked::<OFFSET_MAX>(offset);
        if at + 2 * N > self.end {
            return None;
        }
        // SAFETY: `at..at + 2 * N` lies within the packet, as was just checked (and as the verifier proves again). Packet data
        // begins at an even address and headers lie at even offsets, so 16-bit alignment holds.
        let words = unsafe { (at as *const [u16; N]).read() };
        Some(words.map(u16::from_be))
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
    fn copy<const N: usize>(&self, offset: u32, words: &mut [u16; N]) -> bool;
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
    fn copy<const N: usize>(&self, offset: u32, words: &mut [u16; N]) -> bool {
        // SAFETY: the helper checks the range against the whole frame and writes exactly `2 * N` bytes to `words`.
        unsafe { bpf_xdp_load_bytes(*self, offset, words.as_mut_ptr().cast(), 2 * N as u32) == 0 }
    }
}

impl Buffers for *mut __sk_buff {
    #[inline(always)]
    fn length(&self) -> usize {
        // SAFETY: this is the context that the program was called with.
        unsafe { (**self).len as usize }
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: u32, words: &mut [u16; N]) -> bool {
        // SAFETY: the helper checks the range against the whole frame and writes exactly `2 * N` bytes to `words`.
        unsafe { bpf_skb_load_bytes((*self).cast(), offset, words.as_mut_ptr().cast(), 2 * N as u32) == 0 }
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
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        if let Some(words) = self.head.words(offset) {
            return Some(words);
        }
        if offset > OFFSET_MAX {
            return None;
        }
        let mut words = [0; N];
        if self.buffers.copy(offset as u32, &mut words) { Some(words.map(u16::from_be)) } else { None }
    }

    #[inline(always)]
    fn unfollowed(&self, number: u64) -> u64 {
        self.head.unfollowed(number)
    }
}
