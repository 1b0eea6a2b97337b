//! One machine, from power-on to its end.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use knock_guest::Report;

use super::plan::{LIMIT, Tests};
use super::qemu::{Machine, Qemu};

/// Between looks at what it reports.
const PAUSE: Duration = Duration::from_millis(200);

/// How a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerOff {
    /// By itself; a kernel that panics ends its machine too.
    Itself,
    /// It reported nothing for longer than any step may take.
    Hung,
}

/// Runs it, and prints what it reports as it does.
pub fn run(qemu: &Qemu, machine: &Machine, tests: &[Tests]) -> Result<PowerOff> {
    for log in [machine.console, machine.report] {
        fs::write(log, "").with_context(|| log.display().to_string())?;
    }
    let mut process = qemu.start(machine)?;
    let mut report = Progress { read: 0, tests };
    let mut last_change = Instant::now();
    loop {
        let has_ended = process.try_wait()?.is_some();
        if report.go_on(machine.report)? {
            last_change = Instant::now();
        }
        if has_ended {
            return Ok(PowerOff::Itself);
        }
        if last_change.elapsed() > LIMIT + Duration::from_secs(60) {
            process.kill()?;
            process.wait()?;
            return Ok(PowerOff::Hung);
        }
        thread::sleep(PAUSE);
    }
}

/// How far the report has been shown.
struct Progress<'a> {
    /// Bytes.
    read: usize,
    tests: &'a [Tests],
}

impl Progress<'_> {
    /// Whether there was something new.
    fn go_on(&mut self, report: &Path) -> Result<bool> {
        let text = fs::read(report).with_context(|| report.display().to_string())?;
        let new = text.get(self.read..).unwrap_or_default();
        let Some(end) = new.iter().rposition(|&byte| byte == b'\n') else { return Ok(false) };
        for line in String::from_utf8_lossy(&new[..end]).lines() {
            self.show(line);
        }
        self.read += end + 1;
        Ok(true)
    }

    fn show(&self, line: &str) {
        match Report::parse(line) {
            Some(Report::Booted { release }) => eprintln!("  Linux {release} is up"),
            Some(Report::Ended { step, end, took }) => {
                let name = self.tests.get(step).map(ToString::to_string).unwrap_or_default();
                eprintln!("  {:6.1} s  {end:<9} {name}", took.as_secs_f32());
            }
            Some(Report::Failed(why)) => eprintln!("  it can't go on: {why}"),
            _ => {}
        }
    }
}
