//! Words and bytes in map values.

use core::cell::UnsafeCell;

use knock_common::word::Word;

/// A word in the value of a map, which other CPUs and the controller may write at any time.
#[repr(transparent)]
pub struct MapWord(UnsafeCell<u64>);

// SAFETY: every access is one whole load or store, which may happen on any CPU at any time.
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
