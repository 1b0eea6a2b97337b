//! A test that hangs must not take the time of all others.

use std::io::{self, Write};
use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::lateness;

/// Far more than any test takes.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Ends the process of all tests, by saying which one hung, unless it is dropped in time.
#[derive(Debug)]
pub struct Watchdog {
    /// Disconnected when dropped.
    _guarded: Sender<()>,
}

impl Watchdog {
    pub fn start(limit: Duration) -> Self {
        let (guarded, waiting) = channel();
        let test = thread::current().name().unwrap_or("a test").to_owned();
        thread::spawn(move || {
            let limit = lateness(limit);
            if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // The test harness hides what the print macros write.
                let _ = writeln!(io::stderr(), "{test} hangs: not over within {limit:?}");
                process::abort();
            }
        });
        Self { _guarded: guarded }
    }
}
