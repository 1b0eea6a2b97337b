//! How far the controller has read each CPU's completions, so that the next one neither skips nor repeats any.

use serde::{Deserialize, Serialize};

use super::{RuntimeDirectory, RuntimeError, read_record, write_record};

/// The serial number of the last completion that was dealt with, by CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub serials: Vec<u64>,
}

impl Position {
    /// Nothing was read yet where there is no file.
    pub fn load(directory: &RuntimeDirectory) -> Result<Self, RuntimeError> {
        Ok(read_record(directory.position_file())?.unwrap_or_default())
    }

    pub fn save(&self, directory: &RuntimeDirectory) -> Result<(), RuntimeError> {
        write_record(directory.position_file(), self)
    }
}
