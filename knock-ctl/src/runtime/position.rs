//! How far the controller has read each CPU's completions, so that the next one neither skips nor repeats any.

use std::fs;
use std::io::ErrorKind;

use serde::{Deserialize, Serialize};

use super::{RuntimeDirectory, RuntimeError, replace_file};

/// The serial number of the last completion that was dealt with, by CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub serials: Vec<u64>,
}

impl Position {
    /// Nothing was read yet where there is no file.
    pub fn load(directory: &RuntimeDirectory) -> Result<Self, RuntimeError> {
        let path = directory.position_file();
        match fs::read(&path) {
            Ok(content) => {
                serde_json::from_slice(&content).map_err(|source| RuntimeError::Garbled { path, source })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(RuntimeError::io(path)(error)),
        }
    }

    pub fn save(&self, directory: &RuntimeDirectory) -> Result<(), RuntimeError> {
        let path = directory.position_file();
        let content = serde_json::to_vec(self)
            .map_err(|source| RuntimeError::Garbled { path: path.clone(), source })?;
        replace_file(&path, &content)
    }
}
