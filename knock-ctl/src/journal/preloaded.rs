//! Which one-time sequences are in the kernel. It is on the disk before they are: whatever happens to the machine, those of
//! them that may have been used count as used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use knock_common::rules::SequenceId;
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::record_file;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preloaded {
    /// Names the tables that note what is used.
    pub tables: String,
    /// By door.
    pub doors: BTreeMap<String, PreloadedDoor>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreloadedDoor {
    /// The file that the sequences are from.
    pub file: PathBuf,
    pub sequences: BTreeSet<SequenceId>,
}

impl Preloaded {
    /// `None`: none are.
    pub fn load(path: &Path) -> Result<Option<Self>, JournalError> {
        record_file::load(path)
    }

    /// It is on the disk when this returns.
    pub fn save(&self, path: &Path) -> Result<(), JournalError> {
        record_file::save(path, self)
    }

    /// None are any more.
    pub fn remove(path: &Path) -> Result<(), JournalError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(JournalError::File { path: path.to_owned(), source: error })
            }
            _ => Ok(()),
        }
    }
}
