//! A log file, with knockd's prefix.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use thiserror::Error;

use super::logger::Output;
use super::severity::Severity;

/// What a file is made with: it tells who comes in, and when.
const MODE: u32 = 0o640;

/// The log file can't be written to.
#[derive(Debug, Error)]
#[error("log.file: {}: {}", path.display(), reason(source))]
pub struct LogFileError {
    path: PathBuf,
    source: io::Error,
}

/// A file that lines are added to.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Makes the file where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, LogFileError> {
        open(path, true)
            .map(|file| Self { path: path.to_owned(), file })
            .map_err(|source| LogFileError { path: path.to_owned(), source })
    }

    /// Whether it can be opened, without making it.
    pub(super) fn check(path: &Path) -> Result<(), LogFileError> {
        let checked = match open(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().unwrap_or(Path::new("/")).metadata().map(drop)
            }
            other => other.map(drop),
        };
        checked.map_err(|source| LogFileError { path: path.to_owned(), source })
    }

    pub(super) fn reopen(&mut self) -> Result<(), LogFileError> {
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

impl Output for LogFile {
    fn write(&mut self, _: Severity, message: &str) -> io::Result<()> {
        let prefix = Zoned::now().strftime("[%Y-%m-%d %H:%M]").to_string();
        self.file.write_all(prefixed(&prefix, message).as_bytes())
    }

    fn name(&self) -> String {
        format!("the log file {}", self.path.display())
    }
}

fn prefixed(prefix: &str, message: &str) -> String {
    message.lines().map(|line| format!("{prefix} {line}\n")).collect()
}

fn open(path: &Path, make: bool) -> io::Result<File> {
    // A pipe without a reader would hold up the controller.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file =
        OpenOptions::new().append(true).create(make).mode(MODE).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(Errno::ENXIO.into())
}

fn reason(error: &io::Error) -> String {
    let help = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => "its directory does not exist; make that, or write another path",
        Some(Errno::ELOOP) => {
            "it is a symbolic link, which is not followed; write the path of the file itself"
        }
        Some(Errno::ENXIO | Errno::EISDIR) => "it is no regular file; write the path of one",
        _ => return format!("{error}; write a path where the controller may write"),
    };
    help.to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn each_line_has_knockds_prefix() {
        assert_eq!(prefixed("[2026-11-21 06:37]", "a\nb"), "[2026-11-21 06:37] a\n[2026-11-21 06:37] b\n");
    }

    #[test]
    fn lines_are_added_and_go_to_a_new_file_once_it_is_reopened() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("log"), directory.path().join("log.1"));
        fs::write(&path, "before\n").unwrap();
        let mut file = LogFile::open(&path).unwrap();
        file.write(Severity::Notice, "first").unwrap();
        fs::rename(&path, &rotated).unwrap();
        file.write(Severity::Notice, "second").unwrap();
        file.reopen().unwrap();
        file.write(Severity::Notice, "third").unwrap();
        let lines = |path| -> Vec<String> {
            fs::read_to_string(path)
                .unwrap()
                .lines()
                .map(|line| line[line.len() - 6..].trim().to_owned())
                .collect()
        };
        assert_eq!(lines(&rotated), ["before", "first", "second"]);
        assert_eq!(lines(&path), ["third"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn what_is_no_file_of_its_own_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "").unwrap();
        symlink(at("file"), at("link")).unwrap();
        mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        fs::create_dir(at("directory")).unwrap();
        for (name, expected) in [
            ("link", "it is a symbolic link, which is not followed; write the path of the file itself"),
            ("pipe", "it is no regular file; write the path of one"),
            ("directory", "it is no regular file; write the path of one"),
            ("missing/log", "its directory does not exist; make that, or write another path"),
        ] {
            let expected = format!("log.file: {}: {expected}", at(name).display());
            assert_eq!(LogFile::open(&at(name)).unwrap_err().to_string(), expected);
            assert_eq!(LogFile::check(&at(name)).unwrap_err().to_string(), expected);
        }
        LogFile::check(&at("new")).unwrap();
        assert!(!at("new").exists());
    }
}
