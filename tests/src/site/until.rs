//! Threads of a scope that end also when a check fails.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the flag when dropped: a scope waits for its threads whatever becomes of the one that made it.
pub struct Until<'a>(pub &'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
