//! Which of the kernel's programs are the very ones that a controller embeds, so that its successor need not load them again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{RuntimeDirectory, RuntimeError, read_record, write_record};

/// The programs that were loaded over the maps that are pinned now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// SHA-256 of their version and object file, in hexadecimal.
    pub object: String,
    /// As the kernel numbers them; it gives no number twice while it is up.
    pub ids: BTreeSet<u32>,
}

impl ProgramRecord {
    /// No programs where there is no file.
    pub fn load(directory: &RuntimeDirectory) -> Result<Self, RuntimeError> {
        Ok(read_record(directory.programs_file())?.unwrap_or_default())
    }

    pub fn save(&self, directory: &RuntimeDirectory) -> Result<(), RuntimeError> {
        write_record(directory.programs_file(), self)
    }
}
