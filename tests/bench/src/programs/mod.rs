//! Kernel programs that are measured beside ours, or help to measure it.

mod each_source;
mod empty;
mod injector;
mod xdp_filter;

pub use each_source::EachSource;
pub use empty::{Action, Empty};
pub use injector::Injector;
pub use xdp_filter::XdpFilter;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};

/// Nanoseconds of one run over a frame, on the average of so many, and what the last run returned.
fn cost_of(program: &Xdp, frame: &[u8], runs: u32) -> Result<(u32, f64)> {
    let options = TestRunOptions { data_in: Some(frame), repeat: runs, ..TestRunOptions::default() };
    let result = program.test_run(options)?;
    Ok((result.return_value, result.duration.as_nanos() as f64))
}

/// What a command prints.
///
/// # Errors
/// When it can't be run or fails, with what it says.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}
