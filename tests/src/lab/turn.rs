//! Whose turn it is: most labs stand side by side, one that takes the whole machine stands alone.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static TURNS: Mutex<Turns> = Mutex::new(Turns { shared: 0, taken: false });
static ENDED: Condvar = Condvar::new();

#[derive(Debug)]
struct Turns {
    shared: usize,
    taken: bool,
}

/// Ends when dropped.
#[derive(Debug)]
pub enum Turn {
    Shared,
    Alone,
}

impl Turn {
    /// Beside others of this kind; a test may have several.
    pub fn shared() -> Self {
        let mut turns =
            ENDED.wait_while(turns(), |turns| turns.taken).unwrap_or_else(PoisonError::into_inner);
        turns.shared += 1;
        Self::Shared
    }

    /// Waits until nobody else has one.
    pub fn alone() -> Self {
        let is_busy = |turns: &mut Turns| turns.taken || turns.shared > 0;
        let mut turns = ENDED.wait_while(turns(), is_busy).unwrap_or_else(PoisonError::into_inner);
        turns.taken = true;
        Self::Alone
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        match self {
            Self::Shared => turns().shared -= 1,
            Self::Alone => turns().taken = false,
        }
        ENDED.notify_all();
    }
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}
