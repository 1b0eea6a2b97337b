//! Hours of what a server on the internet meets, in minutes, on a small network of namespaces: is anybody in who did not
//! knock, or out who did, and does anything grow that should not? Needs root.

mod clock;
mod flood_only;
mod footprint;
mod knockers;
mod log_watch;
mod mixed;
mod operator;
mod report;
mod strangers;
mod tally;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser;
use knock_tests::lab::privileged;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

const MINUTE: Duration = Duration::from_secs(60);
const WITHOUT_TIME: &str = "give it more --minutes";

#[derive(Parser)]
#[command(name = "soak", about = "Runs the filter under mixed traffic and looks for what should not happen")]
struct CommandLine {
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// A flood alone, and one controller all the time
    #[arg(long)]
    flood_only: bool,
    /// Forged packets a second [default: 20000, alone 100000]
    #[arg(long)]
    rate: Option<u32>,
    /// Step the clock of this whole machine forward and back for half a second, twice a minute; an hour, unless SECONDS says else
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "3600")]
    step_clock: Option<u64>,
}

/// When it is over.
pub struct Length {
    of_time: Duration,
    /// By a signal: then it ends as at the end of its time.
    interrupted: Arc<AtomicBool>,
}

fn main() -> ExitCode {
    match run(&CommandLine::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: &CommandLine) -> Result<bool> {
    ensure!(privileged(), "the soak makes network namespaces and loads programs");
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    let length = Length { of_time: MINUTE * line.minutes, interrupted };
    let step = line.step_clock.map(Duration::from_secs);
    if let Some(step) = step {
        clock::step(step).context("--step-clock")?;
    }
    let (flood_only, rate) = (line.flood_only, line.rate);
    // What the site can't go on with is a panic, which has said why.
    let soak = thread::spawn(move || match flood_only {
        true => flood_only::run(&length, rate.unwrap_or(100_000)),
        false => mixed::run(&length, rate.unwrap_or(20_000), step),
    });
    soak.join().map_err(|_| anyhow!("the soak could not go on"))?
}
