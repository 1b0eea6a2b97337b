//! What a command writes down as it begins.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::write;

/// A file that is open for appending, until another takes its place.
#[derive(Clone, Debug)]
pub struct CurrentFile(Arc<Mutex<Arc<File>>>);

impl CurrentFile {
    pub fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(file))))
    }

    pub fn get(&self) -> Arc<File> {
        Arc::clone(&self.lock())
    }

    pub fn replace(&self, file: File) {
        *self.lock() = Arc::new(file);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line for a file. The command's own process writes it, between fork and exec: so it is written exactly if the command
/// begins, also when whoever started it is gone by then.
#[derive(Clone, Debug)]
pub struct Announcement {
    file: CurrentFile,
    line: Vec<u8>,
}

/// An announcement that is about to be made, to the file of this moment.
pub(crate) struct Ready {
    file: Arc<File>,
    line: Vec<u8>,
}

impl Announcement {
    pub fn new(file: CurrentFile, line: Vec<u8>) -> Self {
        Self { file, line }
    }

    pub fn line(&self) -> &[u8] {
        &self.line
    }

    pub(crate) fn ready(&self) -> Ready {
        Ready { file: self.file.get(), line: self.line.clone() }
    }
}

impl Ready {
    /// Neither allocates nor takes a lock. A full disk does not keep a command from running.
    pub(crate) fn make(&self) {
        let _ = write(self.file.as_fd(), &self.line);
    }
}

impl PartialEq for Announcement {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for Announcement {}
