//! Ctrl-C and SIGTERM end the story's waiting, not its process, so that it cleans up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether the user has asked for the end.
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub fn catch() -> Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&seen))?;
        }
        Ok(Self(seen))
    }

    /// Asks every few milliseconds until there is an answer; an error when none came within `limit` or the user
    /// interrupts.
    pub fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        loop {
            if self.0.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if started.elapsed() > limit {
                bail!("{what} took longer than {} s", limit.as_secs_f32());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}
