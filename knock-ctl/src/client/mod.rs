//! The knocking client, `knock-ctl knock`; needs no privilege.

mod answer;
mod arguments;
mod command;
mod error;
mod knock;
mod knocking;
pub mod one_time;
mod plan;
mod port;
mod relay;
mod resolve;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

pub use arguments::KnockArguments;
pub use command::{ClientCommand, run_alone};
pub use port::WaitPort;
pub use resolve::Family;

use answer::Patience;
use knocking::{Knocking, Notes};
use plan::{Afterwards, Plan, PlanError};
use resolve::resolve;

use crate::config::hosts::Secret;
use crate::config::{Sequence, private};

/// Knocks, and does what is asked for then. The error is a sentence for the user.
pub fn run(arguments: &KnockArguments) -> anyhow::Result<ExitCode> {
    match Plan::new(arguments, plan::hosts_file().as_deref()) {
        Ok(plan) => carry_out(plan, arguments.verbose).map(|()| ExitCode::SUCCESS),
        Err(PlanError::Call(error)) => {
            eprintln!("knock-ctl: {error}");
            Ok(ExitCode::from(2))
        }
        Err(PlanError::Hosts(errors)) => Err(errors.into()),
    }
}

fn carry_out(plan: Plan, verbose: bool) -> anyhow::Result<()> {
    let notes =
        if matches!(plan.afterwards, Afterwards::Relay { .. }) { Notes::Stderr } else { Notes::Stdout };
    // A name that can't be found uses no line up.
    let addresses = resolve(&plan.host, plan.family)?;
    let sequence = match plan.secret {
        Secret::Sequence(sequence) => sequence,
        Secret::OneTime(file) => take_line(&file, notes)?,
    };
    let knocking = Knocking { host: plan.host, addresses, sequence, delay: plan.delay, verbose, notes };
    match plan.afterwards {
        Afterwards::Nothing => knocking.once().map(drop)?,
        Afterwards::Wait { port, retries } => {
            knocking.until_answered(port, retries, Patience::DEFAULT).map(drop)?;
        }
        Afterwards::Relay { port, retries } => {
            let stream = knocking.until_answered(port, retries, Patience::DEFAULT)?;
            relay::relay(stream).with_context(|| format!("the connection to {} {port}", knocking.host))?;
        }
    }
    Ok(())
}

/// Knocking again while nothing answers repeats the line: the server waits for no other while it has not seen it.
fn take_line(file: &Path, notes: Notes) -> anyhow::Result<Sequence> {
    let taken = one_time::take(file)?;
    if let Some(mode) = file.metadata().ok().and_then(|metadata| private::shared_mode(&metadata)) {
        eprintln!(
            "warning: {}: this file holds sequences, and others than its owner may read it (mode {mode:04o}); {}",
            file.display(),
            private::chmod(file)
        );
    }
    let left = match taken.left {
        0 => "that was the last unused sequence".to_owned(),
        1 => "1 unused sequence is left".to_owned(),
        more => format!("{more} unused sequences are left"),
    };
    notes.say(&format!("{}: {left}", file.display()));
    Ok(taken.sequence)
}

#[cfg(test)]
mod tests;
