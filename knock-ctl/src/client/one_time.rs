//! knockd's file of one-time sequences: the next unused line, and marking it.
//!
//! Each line holds a sequence. One whose first byte is `#` is used, or a comment; so unused ones begin with a space, which
//! the mark takes the place of (knockd(1), `One_Time_Sequences`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use same_file::Handle;
use thiserror::Error;

use crate::config::sequence::parse_steps;
use crate::config::{Sequence, mark};

/// More lines than anybody knocks; a device file would never end.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The texts name lines and steps, never a port.
#[derive(Debug, Error)]
pub enum OneTimeError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: no unused line is left; add new ones here and on the server, each beginning with a space", path.display())]
    Exhausted { path: PathBuf },
    #[error("{}:{line}: {fault}", path.display())]
    Faulty { path: PathBuf, line: usize, fault: String },
    #[error("{}:{line}: the line can't be marked as used, so it was not knocked: {source}", path.display())]
    NotMarked { path: PathBuf, line: usize, source: io::Error },
}

/// What [`take`] gives.
#[derive(Debug)]
pub struct Taken {
    pub sequence: Sequence,
    /// Unused lines.
    pub left: usize,
}

/// Takes the next unused line. When this returns, the line is marked on the disk, and nobody else who asks here gets it.
pub fn take(path: &Path) -> Result<Taken, OneTimeError> {
    let unreadable = |source| OneTimeError::Unreadable { path: path.to_owned(), source };
    let mut file = open_locked(path).map_err(unreadable)?;
    let mut text = Vec::new();
    (&file).take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    let mut unused = unused_lines(&text);
    let line = unused.next().ok_or_else(|| OneTimeError::Exhausted { path: path.to_owned() })?;
    let sequence = line.sequence().map_err(|fault| OneTimeError::Faulty {
        path: path.to_owned(),
        line: line.number,
        fault,
    })?;
    let marked = mark(path, &mut file, &text, &[line.offset]);
    marked.map_err(|source| OneTimeError::NotMarked { path: path.to_owned(), line: line.number, source })?;
    Ok(Taken { sequence, left: unused.count() })
}

/// The file, locked until it is closed: what it holds is what whoever had it before has left.
fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.lock()?;
        // It may have been replaced meanwhile.
        if Handle::from_file(file.try_clone()?)? == Handle::from_path(path)? {
            return Ok(file);
        }
    }
}

struct Line<'a> {
    /// From 1.
    number: usize,
    /// Where in the file it begins.
    offset: usize,
    text: &'a [u8],
}

fn unused_lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut offset = 0;
    let lines = text.split_inclusive(|&byte| byte == b'\n').enumerate().map(move |(index, text)| {
        let line = Line { number: index + 1, offset, text };
        offset += text.len();
        line
    });
    // What the server takes for a blank line is one here too.
    let first = |line: &Line<'_>| String::from_utf8_lossy(line.text).trim().chars().next();
    lines.filter(move |line| !matches!(first(line), None | Some('#')))
}

impl Line<'_> {
    /// The error says which step is wrong, and what to write.
    fn sequence(&self) -> Result<Sequence, String> {
        let text = String::from_utf8_lossy(self.text);
        let mut steps = Vec::new();
        for (index, (_, step)) in parse_steps(text.trim()).enumerate() {
            steps.push(step.map_err(|error| format!("step {}: {error}; {}", index + 1, error.help()))?);
        }
        Sequence::new(steps).map_err(|error| format!("{error}; {}", error.help()))
    }
}

#[cfg(test)]
mod tests;
