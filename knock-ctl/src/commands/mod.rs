//! Runs the start, stop and approve commands of doors, within limits.

mod announcement;
mod identity;
mod process;
mod request;
mod runner;
mod seclusion;

#[cfg(test)]
mod tests;

pub use announcement::Announcement;
pub use request::{CommandKind, CommandLine, CommandOutcome, CommandRequest, CommandResult};
pub use runner::{CommandRunner, Limits, Refused};
