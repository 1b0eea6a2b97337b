//! What a command writes down as it begins.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::unistd::write;

/// A line for a file that is open for appending. The command's own process writes it, between fork and exec: so it is written
/// exactly if the command begins, also when whoever started it is gone by then.
#[derive(Clone, Debug)]
pub struct Announcement {
    file: Arc<File>,
    line: Vec<u8>,
}

impl Announcement {
    pub fn new(file: Arc<File>, line: Vec<u8>) -> Self {
        Self { file, line }
    }

    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Neither allocates nor takes a lock. A command is not kept from running by a full disk.
    pub(super) fn make(&self) {
        let _ = write(self.file.as_fd(), &self.line);
    }
}

impl PartialEq for Announcement {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for Announcement {}
