//! A word of a table that several CPUs, or the kernel and a process, read and write at once.

/// 64 bits that are loaded and stored in one piece, exactly as often as the code says.
pub trait Word {
    fn load(&self) -> u64;
    fn store(&self, value: u64);
    /// Stores one byte of eight, counted as they lie in memory and around, and leaves the others as they are.
    fn store_byte(&self, index: usize, value: u8);
}

/// For tables in ordinary memory. The BPF backend can't compile atomic loads; there the kernel program brings its own.
#[cfg(not(target_arch = "bpf"))]
impl Word for core::sync::atomic::AtomicU64 {
    fn load(&self) -> u64 {
        self.load(core::sync::atomic::Ordering::Relaxed)
    }

    fn store(&self, value: u64) {
        self.store(value, core::sync::atomic::Ordering::Relaxed);
    }

    fn store_byte(&self, index: usize, value: u8) {
        let with_it = |word: u64| {
            let mut bytes = word.to_ne_bytes();
            bytes[index % 8] = value;
            u64::from_ne_bytes(bytes)
        };
        let relaxed = core::sync::atomic::Ordering::Relaxed;
        let _: Result<u64, u64> = self.fetch_update(relaxed, relaxed, |word| Some(with_it(word)));
    }
}
