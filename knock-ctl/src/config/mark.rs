//! Lines that are used, each marked by a `#` in its first byte.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::NamedTempFile;

pub(super) const USED: u8 = b'#';

/// Marks the lines of `file`, which lies at `path` and holds `text`, that begin at these bytes, in ascending order. They are on
/// the disk when this returns. The mark takes the place of a blank. A line that begins with none would lose a digit, and what
/// is left of it may be the sequence of another line: there the mark is put in front, in a file that takes the place of the old.
pub(crate) fn mark(path: &Path, file: &mut File, text: &[u8], lines: &[usize]) -> io::Result<()> {
    let has_blank = |line: &usize| text.get(*line).is_some_and(|byte| b" \t".contains(byte));
    if lines.iter().all(has_blank) {
        return mark_in_place(file, lines);
    }
    let mut marked = Vec::with_capacity(text.len() + lines.len());
    let mut done = 0;
    for line in lines {
        marked.extend_from_slice(&text[done..*line]);
        marked.push(USED);
        done = *line + usize::from(has_blank(line));
    }
    marked.extend_from_slice(&text[done..]);
    replace(path, file, &marked)
}

/// One byte is written whole or not at all.
fn mark_in_place(file: &mut File, lines: &[usize]) -> io::Result<()> {
    for line in lines {
        file.seek(SeekFrom::Start(*line as u64))?;
        file.write_all(&[USED])?;
    }
    file.sync_all()
}

/// Has another file take the place of `old` at once, with its mode and owner. A link to it stays one.
fn replace(path: &Path, old: &File, content: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut new = NamedTempFile::new_in(folder)?;
    new.write_all(content)?;
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
