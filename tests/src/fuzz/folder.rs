//! A folder for files that live for one input.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// In memory where the system has such a place: inputs come by the thousand a second, and some of them are synced.
pub(super) struct Folder(TempDir);

thread_local! {
    static FOLDER: RefCell<Folder> = RefCell::new(Folder::new());
}

impl Folder {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let folder = folder.expect("a folder can be made");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("its maker may");
        Self(folder)
    }

    /// This thread's, as the last input has left it.
    pub(super) fn with<T>(body: impl FnOnce(&Self) -> T) -> T {
        FOLDER.with_borrow(body)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces the file, or takes it away.
    pub(super) fn put(&self, name: &str, content: Option<&[u8]>) {
        let path = self.path(name);
        match content {
            None => drop(fs::remove_file(path)),
            Some(content) => {
                fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder is ours");
                fs::write(&path, content).expect("the file is ours");
            }
        }
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file is there")
    }
}
