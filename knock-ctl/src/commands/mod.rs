//! Runs the start, stop and approve commands of doors, within limits.

#[cfg(feature = "controller")]
mod announcement;
mod command_line;
#[cfg(feature = "controller")]
mod identity;
#[cfg(feature = "controller")]
mod process;
#[cfg(feature = "controller")]
mod request;
#[cfg(feature = "controller")]
mod runner;
#[cfg(feature = "controller")]
mod seclusion;

#[cfg(test)]
#[cfg(feature = "controller")]
mod tests;

#[cfg(feature = "controller")]
pub use announcement::{Announcement, CurrentFile};
pub use command_line::CommandLine;
#[cfg(feature = "controller")]
pub use request::{CommandKind, CommandOutcome, CommandRequest, CommandResult};
#[cfg(feature = "controller")]
pub use runner::{CommandRunner, Limits, Refused};
