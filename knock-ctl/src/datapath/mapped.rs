//! Arrays that are shared with the kernel program as memory.

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use knock_common::attempt::{AttemptSet, AttemptTags};
use knock_common::flow::FlowSet;

/// An element that may be looked at while the kernel writes it.
///
/// # Safety
///
/// The type consists of atomics alone, has the layout of the map's elements, a multiple of 8 bytes, and every bit pattern is a
/// value of it.
pub(super) unsafe trait SharedElement {}

// SAFETY: two words per entry, and the size is checked in knock-common.
unsafe impl SharedElement for AttemptSet<AtomicU64> {}
// SAFETY: two words, and the size is checked in knock-common.
unsafe impl SharedElement for AttemptTags<AtomicU64> {}
// SAFETY: two words per entry, and the size is checked in knock-common.
unsafe impl SharedElement for FlowSet<AtomicU64> {}
// SAFETY: the word itself.
unsafe impl SharedElement for AtomicU64 {}
// SAFETY: the bytes of a word.
unsafe impl SharedElement for [AtomicU8; 8] {}
// SAFETY: two halves of a word; the second is the padding that array maps put behind a value of 4 bytes.
unsafe impl SharedElement for [AtomicU32; 2] {}

/// The elements of an array map that was made with `BPF_F_MMAPABLE`.
pub(super) struct MappedArray<T> {
    address: NonNull<T>,
    length: usize,
    _elements: PhantomData<T>,
}

// SAFETY: the elements are atomics, and the memory belongs to this value alone.
unsafe impl<T: Sync> Send for MappedArray<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for MappedArray<T> {}

impl<T: SharedElement> MappedArray<T> {
    /// `length` is the map's number of elements.
    pub(super) fn new(map: impl AsFd, length: u32) -> io::Result<Self> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap};

        let length = length as usize;
        let bytes = std::num::NonZeroUsize::new(length * size_of::<T>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let address = unsafe {
            mmap(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, map, 0)
        }?;
        Ok(Self { address: address.cast(), length, _elements: PhantomData })
    }

    pub(super) fn elements(&self) -> &[T] {
        // SAFETY: the mapping holds `length` elements for as long as `self` lives, is page-aligned, and `SharedElement`
        // promises that whatever the kernel writes there is a value.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.length) }
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with this size and nobody borrows from it any more. It can't fail then.
        let _ = unsafe { nix::sys::mman::munmap(self.address.cast(), self.length * size_of::<T>()) };
    }
}
