//! knockd's file of one-time sequences: the next unused line, and marking it.
//!
//! Each line holds a sequence. One whose first byte is `#` is used, or a comment; so unused ones begin with a space, which
//! the mark takes the place of (knockd(1), `One_Time_Sequences`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use same_file::Handle;
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::config::Sequence;
use crate::config::sequence::parse_steps;

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

#[derive(Debug)]
pub(super) struct Taken {
    pub sequence: Sequence,
    /// Unused lines.
    pub left: usize,
}

/// Takes the next unused line. When this returns, the line is marked on the disk, and nobody else who asks here gets it.
pub(super) fn take(path: &Path) -> Result<Taken, OneTimeError> {
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
    let marked = if line.text.starts_with(b" ") || line.text.starts_with(b"\t") {
        mark_in_place(&mut file, line.offset)
    } else {
        let [before, after] = [&text[..line.offset], &text[line.offset..]];
        replace(path, &file, &[before, b"#", after])
    };
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
    lines.filter(|line| !matches!(line.text.trim_ascii().first(), None | Some(b'#')))
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

/// One byte is written whole or not at all.
fn mark_in_place(file: &mut File, offset: usize) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset as u64))?;
    file.write_all(b"#")?;
    file.sync_all()
}

/// Has another file take the place of `old` at once, with its mode and owner. A link to it stays one.
fn replace(path: &Path, old: &File, content: &[&[u8]]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut new = NamedTempFile::new_in(folder)?;
    for part in content {
        new.write_all(part)?;
    }
    let metadata = old.metadata()?;
    keep_owner(&metadata, new.as_file())?;
    new.as_file().set_permissions(metadata.permissions())?;
    new.as_file().sync_all()?;
    new.persist(&path)?;
    sync_folder(folder)
}

#[cfg(unix)]
fn keep_owner(old: &fs::Metadata, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let metadata = new.metadata()?;
    if (metadata.uid(), metadata.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &fs::Metadata, _: &File) -> io::Result<()> {
    Ok(())
}

/// So that the new name lasts too.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
