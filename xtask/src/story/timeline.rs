//! What happens, line by line.

use std::time::Instant;

use anyhow::{Result, ensure};

/// Prints each line with the seconds since the beginning.
pub struct Timeline {
    started: Instant,
}

impl Timeline {
    pub fn begin() -> Self {
        Self { started: Instant::now() }
    }

    /// `actor`: who does or sees it.
    pub fn say(&self, actor: &str, what: &str) {
        println!("{:7.3} s  {actor:<9} {what}", self.started.elapsed().as_secs_f64());
    }

    /// A part of what a program has printed, below what was said before.
    pub fn show<'a>(&self, lines: impl IntoIterator<Item = &'a str>) {
        for line in lines {
            println!("{:21}| {line}", "");
        }
    }

    /// Says `what` where it is so; else fails with it.
    pub fn expect(&self, is_so: bool, actor: &str, what: &str) -> Result<()> {
        ensure!(is_so, "not as it should be: {actor}: {what}");
        self.say(actor, what);
        Ok(())
    }
}
