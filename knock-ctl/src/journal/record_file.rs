//! A record that is a file of its own, replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JournalError;
use super::file::{FILE_MODE, directory_of, secure_directory};

/// `None`: there is no such file.
pub(super) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, JournalError> {
    let in_path = |source| JournalError::File { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(content) => serde_json::from_slice(&content).map(Some).map_err(|error| in_path(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(in_path(error)),
    }
}

/// It is on the disk when this returns, readable by its owner alone.
pub(super) fn save<T: Serialize>(path: &Path, record: &T) -> Result<(), JournalError> {
    let in_path = |source| JournalError::File { path: path.to_owned(), source };
    let directory = directory_of(path);
    secure_directory(directory)?;
    let next = path.with_extension("next");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&next)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(in_path)
}
