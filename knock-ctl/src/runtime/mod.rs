//! What one network namespace's controller keeps under /run: its lock, its socket, and what others may know of it.

mod change;
mod lock;
mod position;
mod programs;
mod state;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use knock_common::rules::Slot;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::namespace::NetworkNamespace;

pub use change::ChangeRecord;
pub use lock::{ControllerLock, running_controller};
pub use position::Position;
pub use programs::ProgramRecord;
pub use state::{ConfigState, DoorState, RunState};

/// `/run/knock/net-INODE`, for root alone.
#[derive(Clone, Debug)]
pub struct RuntimeDirectory(PathBuf);

#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("a controller runs here already, as process {pid}; end it, or use `knock-ctl detach`")]
    Running { pid: u32 },
    #[error("{path} makes no sense: {source}")]
    Garbled { path: PathBuf, source: serde_json::Error },
}

impl RuntimeError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

impl RuntimeDirectory {
    /// Of the network namespace that this thread is in.
    pub fn of_this_namespace() -> Result<Self, RuntimeError> {
        let current = NetworkNamespace::current().map_err(RuntimeError::io("this network namespace"))?;
        Ok(Self(Path::new("/run/knock").join(current.name())))
    }

    pub fn create(&self) -> Result<(), RuntimeError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(RuntimeError::io(&self.0))
    }

    /// Forgets what was in force; what was pinned is gone.
    pub fn clear(&self) {
        let records = [self.position_file(), self.change_file(), self.programs_file()];
        for path in records.into_iter().chain([0, 1].map(|slot| self.state_file(slot))) {
            // Nobody reads it without pins.
            let _ = fs::remove_file(path);
        }
    }

    pub fn lock_file(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub fn socket(&self) -> PathBuf {
        self.0.join("control")
    }

    /// Of the rules in one of the two slots.
    pub fn state_file(&self, slot: Slot) -> PathBuf {
        self.0.join(format!("state-{slot}.json"))
    }

    pub fn change_file(&self) -> PathBuf {
        self.0.join("change.json")
    }

    pub fn programs_file(&self) -> PathBuf {
        self.0.join("programs.json")
    }

    pub fn position_file(&self) -> PathBuf {
        self.0.join("position.json")
    }
}

/// `None`: there is no such file.
fn read_record<T: DeserializeOwned>(path: PathBuf) -> Result<Option<T>, RuntimeError> {
    match fs::read(&path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|source| RuntimeError::Garbled { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RuntimeError::io(path)(error)),
    }
}

fn write_record<T: Serialize>(path: PathBuf, record: &T) -> Result<(), RuntimeError> {
    match serde_json::to_vec(record) {
        Ok(content) => replace_file(&path, &content),
        Err(source) => Err(RuntimeError::Garbled { path, source }),
    }
}

/// Puts `content` in the place of a file, from one instant to the next; readable by its owner alone.
fn replace_file(path: &Path, content: &[u8]) -> Result<(), RuntimeError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let next = path.with_extension("next");
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(content)?;
        fs::rename(&next, path)
    };
    write().map_err(RuntimeError::io(path))
}
