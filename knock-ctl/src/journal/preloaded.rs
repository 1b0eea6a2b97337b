//! Which one-time sequences are in the kernel. It is on the disk before they are: whatever happens to the machine, those of
//! them that may have been used count as used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use knock_common::rules::SequenceId;
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::file::{directory_of, secure_directory};

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
        let in_path = |source| JournalError::File { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(content) => serde_json::from_slice(&content).map(Some).map_err(|error| in_path(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(in_path(error)),
        }
    }

    /// It is on the disk when this returns.
    pub fn save(&self, path: &Path) -> Result<(), JournalError> {
        let in_path = |source| JournalError::File { path: path.to_owned(), source };
        let directory = directory_of(path);
        secure_directory(directory)?;
        let next = path.with_extension("next");
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&next, path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(in_path)
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
