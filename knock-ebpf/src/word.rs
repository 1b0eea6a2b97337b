//! Words and bytes in map values, and words of packets.

use core::cell::UnsafeCell;

use knock_common::frame::WORDS_MAX;
use knock_common::word::Word;

/// A word in the value of a map, which other CPUs and the controller may write at any time.
#[repr(transparent)]
pub struct MapWord(UnsafeCell<u64>);

// SAFETY: every access is one load or store of the word or of a byte of it, which may happen on any CPU at any time.
unsafe impl Sync for MapWord {}

impl Word for MapWord {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: the pointer is to a live, aligned word; map values outlive the program's run. An aligned load of 64 bits is
        // one BPF instruction, so what it sees was stored whole.
        unsafe { self.0.get().read_volatile() }
    }

    #[inline(always)]
    fn store(&self, value: u64) {
        // SAFETY: as for `load`.
        unsafe { self.0.get().write_volatile(value) }
    }

    #[inline(always)]
    fn store_byte(&self, index: usize, value: u8) {
        // SAFETY: as for `load`; the byte is one of the word's eight.
        unsafe { self.0.get().cast::<u8>().add(index & 7).write_volatile(value) }
    }
}

/// As [`MapWord`], of one byte.
#[repr(transparent)]
pub struct MapByte(UnsafeCell<u8>);

// SAFETY: as for `MapWord`.
unsafe impl Sync for MapByte {}

impl MapByte {
    #[inline(always)]
    pub fn load(&self) -> u8 {
        // SAFETY: as for `MapWord`.
        unsafe { self.0.get().read_volatile() }
    }

    #[inline(always)]
    pub fn store(&self, value: u8) {
        // SAFETY: as for `MapWord`.
        unsafe { self.0.get().write_volatile(value) }
    }
}

/// What stands before this is read before what stands behind it, as far as the compiler is concerned.
#[inline(always)]
pub fn read_until_here() {
    // SAFETY: there is no instruction in it.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}

/// The words of a packet at an address, which need not be divisible by four.
///
/// The kernel allows that: with the two bytes that drivers leave in front of the Ethernet header where a CPU asks for it, the
/// headers behind it lie aligned. The compiler, which does not know of them, would load single bytes.
///
/// # Safety
///
/// So many words lie there.
#[inline(always)]
pub unsafe fn words_at<const N: usize>(at: usize) -> [u32; N] {
    const { assert!(N <= WORDS_MAX) };
    core::array::from_fn(|index| {
        // SAFETY: the index is below `N`.
        unsafe {
            match index {
                0 => word_at::<0>(at),
                1 => word_at::<4>(at),
                2 => word_at::<8>(at),
                3 => word_at::<12>(at),
                _ => word_at::<16>(at),
            }
        }
    })
}

/// # Safety
///
/// A word lies `OFFSET` bytes behind `at`.
#[cfg(target_arch = "bpf")]
#[inline(always)]
unsafe fn word_at<const OFFSET: usize>(at: usize) -> u32 {
    let word: u64;
    // SAFETY: the instruction loads four bytes, which the caller says are there, into this register.
    unsafe {
        core::arch::asm!(
            "{0} = *(u32 *)({1} + {2})",
            out(reg) word, in(reg) at, const OFFSET,
            options(pure, readonly, nostack)
        );
    }
    word as u32
}

#[cfg(not(target_arch = "bpf"))]
unsafe fn word_at<const OFFSET: usize>(at: usize) -> u32 {
    // SAFETY: the caller says that a word lies there.
    unsafe { ((at + OFFSET) as *const u32).read_unaligned() }
}
