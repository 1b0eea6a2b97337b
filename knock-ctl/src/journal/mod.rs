//! What survives a crash: which doors were opened for whom, so that each stop command runs, and once.
//!
//! The order that makes it so:
//!
//! 1. [`Record::Opened`] is on the disk before the start command runs;
//! 2. the start command itself appends [`Record::Started`] as it begins;
//! 3. [`Record::Stopping`] is written before the stop command is submitted, for whatever reason the door closes;
//! 4. the stop command itself appends [`Record::Closed`] as it begins; where there is none, the controller does.
//!
//! A controller that is killed leaves its commands running, so that whatever has begun is known to its successor: a start that
//! has not begun runs if its source may still wait for it, and else neither runs nor calls for a stop; a stop that has
//! not begun runs. A crash of the whole machine can take what a command has announced with it, and then its stop runs again.
//! After a reboot every stop is due now: grants don't outlive the kernel that held them.
//!
//! The file has one JSON object a line. What follows the last newline was never acknowledged to anybody and is dropped.

mod file;
mod last_good;
mod preloaded;
mod record;
mod record_file;
mod replay;

#[cfg(test)]
mod tests;

pub use file::{Journal, JournalError};
pub use last_good::LastGood;
pub use preloaded::{Preloaded, PreloadedDoor};
pub use record::{OpenDoor, Opening, Record, StopDue};
