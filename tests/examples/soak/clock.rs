//! The machine's clock of the day, stepped for a moment.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};

/// For how long it is wrong.
const MOMENT: Duration = Duration::from_millis(500);

/// Puts it back when dropped, by what has passed since by the clock that is not stepped.
struct Stepped {
    right: TimeSpec,
    since: Instant,
}

impl Drop for Stepped {
    fn drop(&mut self) {
        let right = self.right + TimeSpec::from(self.since.elapsed());
        if let Err(error) = clock_settime(ClockId::CLOCK_REALTIME, right) {
            eprintln!("the clock is wrong by the step, and can't be put back: {error}");
        }
    }
}

/// Forward and back, then back and forward.
///
/// # Errors
/// When this process may not set the clock.
pub fn step(by: Duration) -> Result<()> {
    for forward in [true, false] {
        let right = clock_gettime(ClockId::CLOCK_REALTIME).context("reading the clock")?;
        let step = TimeSpec::from(by);
        let _stepped = Stepped { right, since: Instant::now() };
        let wrong = if forward { right + step } else { right - step };
        clock_settime(ClockId::CLOCK_REALTIME, wrong).context("setting the clock")?;
        thread::sleep(MOMENT);
    }
    Ok(())
}
