//! Programs that end with the story.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Interrupt;
use crate::workspace::line;

/// A running program: asked to end when dropped, then made to.
pub struct Background(pub Child);

impl Background {
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn().with_context(|| format!("`{}` did not start", line(command)))?))
    }

    /// Whether it ended by itself within `limit` after SIGTERM.
    fn end_within(&mut self, limit: Duration) -> bool {
        if let Ok(id) = i32::try_from(self.0.id()) {
            // An error means that it has ended, which is what is asked for.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let started = Instant::now();
        while started.elapsed() < limit {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && !self.end_within(Duration::from_secs(2)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// What a program that has ended printed, and whether it exited with 0.
pub struct Answer {
    pub success: bool,
    pub output: String,
}

/// Runs a program to its end, and ends it after `limit`. It may print as much as a pipe holds.
pub fn ask(command: &mut Command, limit: Duration, interrupt: &Interrupt) -> Result<Answer> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Background::start(command)?;
    let status = interrupt.wait_for(&line(command), limit, || Ok(process.0.try_wait()?))?;
    let mut output = String::new();
    if let Some(mut pipe) = process.0.stdout.take() {
        pipe.read_to_string(&mut output)?;
    }
    Ok(Answer { success: status.success(), output })
}
