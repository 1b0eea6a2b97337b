//! The configuration that was last in force, for the day that its files are refused.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::JournalError;
use super::file::{directory_of, secure_directory};
use super::record_file;
use crate::config::Archive;

/// One for each main file, so that no machine or container takes another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGood {
    /// RFC 3339: since when it was in force.
    pub since: String,
    pub archive: Archive,
}

impl LastGood {
    /// `None`: nothing of this main file was ever in force.
    ///
    /// # Errors
    /// Where it can't be read, and where others than root could have written it: commands are run as it says.
    pub fn load(directory: &Path, main: &Path) -> Result<Option<Self>, JournalError> {
        let path = path(directory, main);
        secure_directory(directory_of(&path))?;
        let found: Option<Self> = record_file::load(&path)?;
        Ok(found.filter(|found| found.archive.is_of(main)))
    }

    /// It is on the disk when this returns, readable by its owner alone.
    pub fn save(&self, directory: &Path) -> Result<(), JournalError> {
        record_file::save(&path(directory, self.archive.main()), self)
    }
}

/// Two main files may come to one name; what is there says whose it is.
fn path(directory: &Path, main: &Path) -> PathBuf {
    let main = std::path::absolute(main).unwrap_or_else(|_| main.to_owned());
    let words: Vec<_> = main.iter().skip(1).map(|word| word.to_string_lossy()).collect();
    directory.join(format!("last-good-{}.json", words.join("-")))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::config;

    const DOOR: &str = "[doors.ssh]\nsequence = [41207, 5481, 60122]\nopens = [\"22/tcp\"]\n";

    fn kept(directory: &TempDir, name: &str) -> (PathBuf, LastGood) {
        let main = directory.path().join(name);
        fs::create_dir_all(main.parent().unwrap()).unwrap();
        fs::write(&main, DOOR).unwrap();
        let archive = config::load(&main).unwrap().archive;
        let last_good = LastGood { since: "2026-11-21T06:37:00Z".to_owned(), archive };
        last_good.save(directory.path()).unwrap();
        (main, last_good)
    }

    #[test]
    fn what_is_kept_is_its_owners_alone_and_found_again() {
        let directory = TempDir::new().unwrap();
        let (main, last_good) = kept(&directory, "knock.toml");
        let mode = fs::metadata(path(directory.path(), &main)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(LastGood::load(directory.path(), &main).unwrap(), Some(last_good));
        assert_eq!(LastGood::load(directory.path(), &directory.path().join("other.toml")).unwrap(), None);
    }

    #[test]
    fn two_main_files_of_one_name_are_not_taken_for_each_other() {
        let directory = TempDir::new().unwrap();
        let (first, _) = kept(&directory, "a/b.toml");
        let (second, last_good) = kept(&directory, "a-b.toml");
        assert_eq!(path(directory.path(), &first), path(directory.path(), &second));
        assert_eq!(LastGood::load(directory.path(), &first).unwrap(), None);
        assert_eq!(LastGood::load(directory.path(), &second).unwrap(), Some(last_good));
    }

    #[test]
    fn what_others_may_have_written_is_not_taken() {
        let directory = TempDir::new().unwrap();
        let (main, _) = kept(&directory, "knock.toml");
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(LastGood::load(directory.path(), &main), Err(JournalError::Exposed(_))));
    }
}
