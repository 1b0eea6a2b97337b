//! What the controller has put into force, for commands that run while it does, or after it.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use knock_common::rules::{DoorId, Slot};
use serde::{Deserialize, Serialize};

use super::{RuntimeDirectory, RuntimeError, replace_file};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    pub policy: String,
    pub enforce: bool,
    pub config: ConfigState,
    pub doors: Vec<DoorState>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigState {
    /// Absolute.
    pub path: PathBuf,
    pub sha256: String,
    /// RFC 3339.
    pub loaded_at: String,
}

/// A door; its sequence is not kept here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorState {
    pub name: String,
    pub id: DoorId,
    pub steps: usize,
    /// Such as "22/tcp", or "any" alone.
    pub opens: Vec<String>,
    /// Milliseconds; `None`: until revoked.
    pub open_for_ms: Option<u64>,
    /// 0: no limit.
    pub connections: u32,
}

impl RunState {
    /// What is known of the rules in `slot`; `None`: no controller has put any there since the machine came up.
    pub fn load(directory: &RuntimeDirectory, slot: Slot) -> Result<Option<Self>, RuntimeError> {
        let path = directory.state_file(slot);
        match fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content)
                .map(Some)
                .map_err(|source| RuntimeError::Garbled { path, source }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RuntimeError::io(path)(error)),
        }
    }

    pub fn save(&self, directory: &RuntimeDirectory, slot: Slot) -> Result<(), RuntimeError> {
        let path = directory.state_file(slot);
        let content = serde_json::to_vec_pretty(self)
            .map_err(|source| RuntimeError::Garbled { path: path.clone(), source })?;
        replace_file(&path, &content)
    }

    pub fn door(&self, name: &str) -> Option<&DoorState> {
        self.doors.iter().find(|door| door.name == name)
    }

    /// The doors by their identity.
    pub fn by_id(&self) -> HashMap<DoorId, &DoorState> {
        self.doors.iter().map(|door| (door.id, door)).collect()
    }
}
