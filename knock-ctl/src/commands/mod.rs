//! Runs the start, stop and approve commands of doors, within limits.

#[cfg(feature = "controller")]
mod identity;
#[cfg(feature = "controller")]
mod process;
mod request;
#[cfg(feature = "controller")]
mod runner;
#[cfg(feature = "controller")]
mod seclusion;

#[cfg(test)]
#[cfg(feature = "controller")]
mod tests;

pub use request::{CommandKind, CommandLine, CommandOutcome, CommandRequest, CommandResult};
#[cfg(feature = "controller")]
pub use runner::{CommandRunner, Limits, Refused};
