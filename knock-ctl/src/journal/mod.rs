//! What survives a crash: which doors were opened for whom, so that each stop command runs at least once.
//!
//! The order that makes it so:
//!
//! 1. [`Record::Opened`] is on the disk before the start command runs;
//! 2. [`Record::Stopping`] is written before the stop command is submitted, for whatever reason the door closes;
//! 3. [`Record::Closed`] is written when the stop command has ended, or when there is none to run.
//!
//! A crash between 1 and 2 leaves the door open with its stop due when it was; one between 2 and 3 leaves its stop due
//! now, so that it runs a second time if it had run already. After a reboot every stop is due now: grants don't outlive
//! the kernel that held them.
//!
//! The file has one JSON object a line. What follows the last newline was never acknowledged to anybody and is dropped.

mod file;
mod record;
mod replay;

#[cfg(test)]
mod tests;

pub use file::{Journal, JournalError};
pub use record::{OpenDoor, Opening, Record, StopDue};
