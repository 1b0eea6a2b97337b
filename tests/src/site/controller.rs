//! A running `knock-ctl attach`, and what it says.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::lab::Process;
use nix::sys::signal::Signal;

use super::limit;

/// Killed when dropped; the filter stays.
pub struct Controller {
    process: Process,
}

impl Controller {
    pub(super) fn new(process: Process) -> Self {
        Self { process }
    }

    /// The next line of its log that contains `text`.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        self.process.expect_line(text, limit()).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Whether a line with `text` comes within `limit`.
    pub fn says(&mut self, text: &str, limit: Duration) -> bool {
        self.process.expect_line(text, limit).is_ok()
    }

    /// How many lines so far contain `text`.
    pub fn count(&mut self, text: &str) -> usize {
        self.process.said().iter().filter(|line| line.contains(text)).count()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// As by SIGKILL.
    pub fn kill(mut self) {
        self.process.signal(Signal::SIGKILL).unwrap();
        self.process.wait(limit()).unwrap();
    }

    pub fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM).unwrap();
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        self.process.wait(limit()).unwrap_or_else(|error| panic!("{error:#} ({:?})", begun.elapsed()))
    }
}
