//! The files that a configuration is read from.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::iter;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::archive::Archive;
use super::diagnostic::{Diagnostic, Position};
use super::report::{Fault, Report};

/// No configuration comes near this; a device file would never end.
const MAX_FILE_BYTES: u64 = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceId(usize);

/// A byte of a source, or the source as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) source: SourceId,
    offset: Option<usize>,
}

impl Place {
    pub(super) fn at(source: SourceId, offset: usize) -> Self {
        Self { source, offset: Some(offset) }
    }

    pub(super) fn whole(source: SourceId) -> Self {
        Self { source, offset: None }
    }
}

/// Why a file could not be read, and what to do about it.
pub(super) struct Unreadable {
    pub(super) message: String,
    pub(super) help: String,
}

/// A place as people are told of it.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) file: String,
    /// `None`: the file as a whole.
    pub(super) position: Option<Position>,
}

struct Source {
    name: String,
    text: String,
    /// The byte each line begins at.
    line_starts: Vec<usize>,
    /// What relative paths in it are relative to.
    base: PathBuf,
    /// `None` for text that was given rather than read.
    file: Option<SourceFile>,
}

struct SourceFile {
    path: PathBuf,
    /// `None`: it was read from an archive.
    metadata: Option<Metadata>,
    /// It changes while it is in use.
    changing: bool,
}

/// All sources in the order they were read; each file once, however often it is asked for.
#[derive(Default)]
pub(super) struct Sources {
    list: Vec<Source>,
    digest: Sha256,
    /// Where files are read from that do not change; `None`: from the disk.
    archive: Option<Archive>,
}

impl Sources {
    /// Of which all but changing files are read from an archive.
    pub(super) fn of_archive(archive: Archive) -> Self {
        Self { archive: Some(archive), ..Self::default() }
    }

    /// Takes text that is in no file.
    pub(super) fn add_text(&mut self, name: &str, text: &str, base: &Path) -> SourceId {
        self.digest.update(text.as_bytes());
        self.add(name.to_owned(), text.to_owned(), base.to_owned(), None)
    }

    /// Reads a file. Bytes that are not UTF-8 are reported and replaced.
    pub(super) fn add_file(&mut self, path: &Path, report: &mut Report) -> Result<SourceId, Unreadable> {
        let known = self.list.len();
        let id = self.add_read(path, false, report)?;
        if id.0 == known {
            self.digest.update(self.list[id.0].text.as_bytes());
        }
        Ok(id)
    }

    /// As [`Sources::add_file`], of a file that changes while it is in use: it does not count for the digest.
    pub(super) fn add_changing_file(
        &mut self,
        path: &Path,
        report: &mut Report,
    ) -> Result<SourceId, Unreadable> {
        self.add_read(path, true, report)
    }

    fn add_read(&mut self, path: &Path, changing: bool, report: &mut Report) -> Result<SourceId, Unreadable> {
        if let Some(known) = self.list.iter().position(|source| source.path() == Some(path)) {
            return Ok(SourceId(known));
        }
        let (bytes, metadata) = self.read(path, changing).map_err(|error| unreadable(path, &error))?;
        let bad_byte = std::str::from_utf8(&bytes).err().map(|error| error.valid_up_to());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let file = SourceFile { path: path.to_owned(), metadata, changing };
        let id = self.add(path.display().to_string(), text, base, Some(file));
        if let Some(offset) = bad_byte {
            report.error(Fault::new(
                Place::at(id, offset),
                "the file is not UTF-8 from here on",
                "save it in UTF-8, without the characters it cannot hold",
            ));
        }
        Ok(id)
    }

    fn read(&self, path: &Path, changing: bool) -> io::Result<(Vec<u8>, Option<Metadata>)> {
        match &self.archive {
            Some(archive) if !changing => {
                let text = archive.text(path).ok_or(io::ErrorKind::NotFound)?;
                Ok((text.as_bytes().to_vec(), None))
            }
            _ => read(path).map(|(bytes, metadata)| (bytes, Some(metadata))),
        }
    }

    fn add(&mut self, name: String, text: String, base: PathBuf, file: Option<SourceFile>) -> SourceId {
        let line_starts = iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        self.list.push(Source { name, text, line_starts, base, file });
        SourceId(self.list.len() - 1)
    }

    pub(super) fn text(&self, id: SourceId) -> &str {
        &self.list[id.0].text
    }

    /// A path written in that source.
    pub(super) fn resolve_path(&self, id: SourceId, path: &str) -> PathBuf {
        self.list[id.0].base.join(path)
    }

    pub(super) fn path(&self, id: SourceId) -> Option<&Path> {
        self.list[id.0].path()
    }

    /// Of a file on the disk, as it was when it was read.
    pub(super) fn metadata(&self, id: SourceId) -> Option<&Metadata> {
        self.list[id.0].file.as_ref()?.metadata.as_ref()
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.list.iter().filter_map(Source::path).map(Path::to_owned).collect()
    }

    /// The paths that a pattern with wildcards stands for, where they are looked for in an archive.
    pub(super) fn archived(&self, pattern: &str) -> Option<Result<Vec<PathBuf>, glob::PatternError>> {
        self.archive.as_ref().map(|archive| archive.matches(pattern))
    }

    /// To read the same configuration again.
    pub(super) fn to_archive(&self, main: &Path) -> Archive {
        let lasting = |source: &'_ Source| source.file.as_ref().is_some_and(|file| !file.changing);
        let files = self.list.iter().filter(|source| lasting(source));
        Archive::new(main, files.filter_map(|source| Some((source.path()?, source.text.as_str()))))
    }

    /// SHA-256 of all bytes read, one source behind the other, in hexadecimal: of one file, what `sha256sum` prints.
    pub(super) fn sha256(&self) -> String {
        use std::fmt::Write;
        self.digest.clone().finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String never fails.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// `knock.toml:7`, for a message that points to a second place.
    pub(super) fn name_line(&self, place: Place) -> String {
        let Location { file, position } = self.locate(place);
        match position {
            Some(position) => format!("{file}:{}", position.line),
            None => file,
        }
    }

    pub(super) fn diagnostic(&self, fault: Fault) -> Diagnostic {
        let Location { file, position } = self.locate(fault.place);
        Diagnostic { file, position, message: fault.message, help: fault.help }
    }

    pub(super) fn locate(&self, place: Place) -> Location {
        Location { file: self.list[place.source.0].name.clone(), position: self.position(place) }
    }

    fn position(&self, place: Place) -> Option<Position> {
        let Source { text, line_starts, .. } = &self.list[place.source.0];
        let offset = place.offset?.min(text.len());
        let line = line_starts.partition_point(|&start| start <= offset);
        let before = &text.as_bytes()[line_starts[line - 1]..offset];
        let begins_character = |byte: &&u8| **byte & 0xc0 != 0x80;
        Some(Position { line, column: before.iter().filter(begins_character).count() + 1 })
    }
}

impl Source {
    fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }
}

fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((bytes, metadata))
}

fn unreadable(path: &Path, error: &io::Error) -> Unreadable {
    let path_text = path.display();
    let (message, help) = match error.kind() {
        io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            match parent {
                Some(parent) if !fs::exists(parent).unwrap_or(true) => (
                    "no such file".to_owned(),
                    format!("its directory {} does not exist either: check the path", parent.display()),
                ),
                _ => ("no such file".to_owned(), "check the path, or create it".to_owned()),
            }
        }
        io::ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            format!("run this as root, or as a user who may read it (ls -l {path_text} tells who)"),
        ),
        io::ErrorKind::IsADirectory => ("this is a directory".to_owned(), "name a file in it".to_owned()),
        io::ErrorKind::FileTooLarge => (
            format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20),
            "name a configuration file".to_owned(),
        ),
        _ => (error.to_string(), "check the path and the disk".to_owned()),
    };
    Unreadable { message, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_file_says_who_may_read_it() {
        let error = unreadable(Path::new("/etc/knock/knock.toml"), &io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.message, "permission denied");
        assert!(
            error.help.starts_with("run this as root") && error.help.contains("ls -l /etc/knock/knock.toml")
        );
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let Err(error) = Sources::default().add_file(Path::new("/dev/zero"), &mut Report::default()) else {
            panic!("/dev/zero was read")
        };
        assert_eq!(error.message, "the file is larger than 16 MiB");
    }
}
