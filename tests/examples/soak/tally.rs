//! What has happened so far, and what should not have.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::report::clock_face;

/// Of what is broken all the time the first are enough.
const TOLD: usize = 100;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sequence was knocked by somebody who knows it.
    Knocked,
    /// It had to be knocked again before they were let in.
    Again,
    /// They were let in.
    Opened,
    /// Somebody tried to connect who should not get in.
    Tried,
    /// They got no answer.
    Refused,
    Reloaded,
    Killed,
    Flapped,
    Stepped,
}

impl Event {
    pub const ALL: [Self; 9] = [
        Self::Knocked,
        Self::Again,
        Self::Opened,
        Self::Tried,
        Self::Refused,
        Self::Reloaded,
        Self::Killed,
        Self::Flapped,
        Self::Stepped,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Knocked => "knocks",
            Self::Again => "again",
            Self::Opened => "opened",
            Self::Tried => "tried",
            Self::Refused => "refused",
            Self::Reloaded => "reloads",
            Self::Killed => "kills",
            Self::Flapped => "flaps",
            Self::Stepped => "steps",
        }
    }
}

/// Shared by all who take part.
#[derive(Debug)]
pub struct Tally {
    begun: Instant,
    counts: [AtomicU64; Event::ALL.len()],
    broken: Mutex<Vec<String>>,
}

impl Tally {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), counts: Default::default(), broken: Mutex::default() }
    }

    pub fn count(&self, event: Event) {
        self.counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// In the order of [`Event::ALL`].
    pub fn counts(&self) -> [u64; Event::ALL.len()] {
        std::array::from_fn(|event| self.counts[event].load(Ordering::Relaxed))
    }

    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// An invariant does not hold: says at once which, and remembers it.
    pub fn broken(&self, what: &str) {
        let line = format!("{} {what}", clock_face(self.begun.elapsed()));
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if broken.len() < TOLD {
            println!("BROKEN {line}");
            broken.push(line);
        }
    }

    /// The same, where `holds` is false.
    pub fn expect(&self, holds: bool, what: &str) {
        if !holds {
            self.broken(what);
        }
    }

    /// When and which, in their order.
    pub fn all_broken(&self) -> Vec<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
