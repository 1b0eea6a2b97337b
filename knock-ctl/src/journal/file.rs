//! The journal's file: opened by one process alone, appended to, and written anew when it has grown.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use knock_common::address::Address;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use super::record::{BootId, OpenDoor, Opening, Record};
use super::replay::Ledger;
use crate::commands::{Announcement, CurrentFile};
use crate::namespace::NamespaceCookie;

/// The record of open doors. While it exists no other process opens the same file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Commands append to it too.
    file: CurrentFile,
    /// Records in the file, about.
    lines: usize,
    ledger: Ledger,
    boot_id: BootId,
    namespace: Option<NamespaceCookie>,
    _lock: Flock<File>,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another process has the journal {0} open")]
    InUse(PathBuf),
    /// Who can write to it could have stop commands run.
    #[error(
        "{0} must belong to root or to whom this process runs as, and be writable for nobody else (mode 0700)"
    )]
    Exposed(PathBuf),
    #[error("cannot use the journal {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot read the ID of this boot: {0}")]
    BootId(#[source] io::Error),
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
pub(super) const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// The file is written anew when it has this many records, and four times as many as there are open doors.
const COMPACT_FROM: usize = 1024;
/// How long another process's lock may take to go.
const PATIENCE: Duration = Duration::from_secs(1);

impl Journal {
    /// Opens or creates it, with its directory, and says which doors are open by it. Lines that make no sense are skipped
    /// with a warning. With `namespace`, doors that were opened in another network namespace of this boot are forgotten, with a
    /// warning too. The file is written anew.
    pub fn open(
        path: &Path,
        namespace: Option<NamespaceCookie>,
    ) -> Result<(Self, Vec<OpenDoor>), JournalError> {
        let boot_id = fs::read_to_string(BOOT_ID).map_err(JournalError::BootId)?;
        Self::open_in_boot(path, BootId(boot_id.trim().to_owned()), namespace)
    }

    pub(super) fn open_in_boot(
        path: &Path,
        boot_id: BootId,
        namespace: Option<NamespaceCookie>,
    ) -> Result<(Self, Vec<OpenDoor>), JournalError> {
        let in_path = |source| JournalError::File { path: path.to_owned(), source };
        secure_directory(directory_of(path))?;
        let lock = lock(path)?;
        let content = read(path).map_err(in_path)?;
        let (mut ledger, skipped) = Ledger::replay(&content);
        for line in skipped {
            log::warn!("{}: line {line} makes no sense and is skipped", path.display());
        }
        let elsewhere = namespace.map_or(0, |own| ledger.forget_other_namespaces(&boot_id, own));
        if elsewhere > 0 {
            log::warn!(
                "{}: forgetting {elsewhere} openings in a network namespace that is no more, and their stop commands",
                path.display()
            );
        }
        let (file, lines) = rewrite(path, &ledger).map_err(in_path)?;
        let open_doors = ledger.open_doors(&boot_id);
        let file = CurrentFile::new(file);
        let journal = Self { path: path.to_owned(), file, lines, ledger, boot_id, namespace, _lock: lock };
        Ok((journal, open_doors))
    }

    /// Names an opening of this boot; records nothing. `opened_at` is CLOCK_BOOTTIME in nanoseconds.
    pub fn opening(&self, address: Address, door: &str, opened_at: u64) -> Opening {
        let (boot_id, namespace) = (self.boot_id.clone(), self.namespace);
        Opening { address, door: door.to_owned(), opened_at, boot_id, namespace }
    }

    /// Whether there is such an opening that is not closed.
    pub fn knows(&self, opening: &Opening) -> bool {
        self.ledger.knows(opening)
    }

    /// A record that a command is to append as it begins.
    pub fn announcement(&self, record: &Record) -> Option<Announcement> {
        let line = to_lines(std::iter::once(record)).ok()?;
        Some(Announcement::new(self.file.clone(), line))
    }

    /// Appends what a command was to announce, whether it has or not.
    pub fn append_announced(&mut self, announcement: &Announcement) -> Result<(), JournalError> {
        match serde_json::from_slice(announcement.line()) {
            Ok(record) => self.append(&[record]),
            Err(error) => Err(JournalError::File { path: self.path.clone(), source: error.into() }),
        }
    }

    /// Appends the records, all of them or, with an error, none. With [`Record::Opened`] among them they are on the disk
    /// when this returns, which can take as long as the disk takes; it costs as much for many records as for one.
    pub fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        self.write(records).map_err(|source| JournalError::File { path: self.path.clone(), source })?;
        records.iter().cloned().for_each(|record| self.ledger.enter(record));
        if self.lines >= COMPACT_FROM && self.lines / 4 >= self.ledger.len() {
            self.compact();
        }
        Ok(())
    }

    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let lines = to_lines(records.iter())?;
        let must_last = records.iter().any(|record| matches!(record, Record::Opened { .. }));
        let file = self.file.get();
        let (length, mut file) = (file.metadata()?.len(), &*file);
        let written = file.write_all(&lines).and_then(|()| if must_last { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Else the next record would continue a line that is cut short.
            file.set_len(length)?;
            return Err(error);
        }
        self.lines += records.len();
        Ok(())
    }

    /// The file serves as it is when it can't be written anew.
    fn compact(&mut self) {
        let rewrite = || {
            // What commands have announced is there alone. None is announcing just now: they have begun when the call returns
            // that starts them.
            let (ledger, _) = Ledger::replay(&read(&self.path)?);
            let (file, lines) = rewrite(&self.path, &ledger)?;
            io::Result::Ok((ledger, file, lines))
        };
        match rewrite() {
            Ok((ledger, file, lines)) => {
                self.file.replace(file);
                (self.ledger, self.lines) = (ledger, lines);
            }
            Err(error) => log::warn!("cannot write the journal {} anew: {error}", self.path.display()),
        }
    }
}

pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn secure_directory(directory: &Path) -> Result<(), JournalError> {
    let in_path = |source| JournalError::File { path: directory.to_owned(), source };
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(in_path)?;
    let metadata = fs::metadata(directory).map_err(in_path)?;
    let trusted_owner = metadata.uid() == 0 || metadata.uid() == Uid::effective().as_raw();
    if trusted_owner && metadata.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(JournalError::Exposed(directory.to_owned()))
    }
}

/// On a file of its own, because the journal itself is replaced.
fn lock(path: &Path) -> Result<Flock<File>, JournalError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(beside(path, "lock"))
        .map_err(|source| JournalError::File { path: path.to_owned(), source })?;
    let begun = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            // The commands of a process that was killed hold it until they have begun.
            Err((unlocked, Errno::EWOULDBLOCK)) if begun.elapsed() < PATIENCE => file = unlocked,
            Err((_, Errno::EWOULDBLOCK)) => return Err(JournalError::InUse(path.to_owned())),
            Err((_, errno)) => {
                return Err(JournalError::File { path: path.to_owned(), source: errno.into() });
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(mut file) => file.read_to_end(&mut content)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(content)
}

/// Replaces the file, which after a crash is either the old one or the new one. Returns it and its number of records.
fn rewrite(path: &Path, ledger: &Ledger) -> io::Result<(File, usize)> {
    let records: Vec<Record> = ledger.records().collect();
    let content = to_lines(records.iter())?;
    let new = beside(path, "new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(&new)?;
    file.write_all(&content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory_of(path))?.sync_all()?;
    Ok((file, records.len()))
}

fn to_lines<'a>(records: impl Iterator<Item = &'a Record>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    Ok(lines)
}
