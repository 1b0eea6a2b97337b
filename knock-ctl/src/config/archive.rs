//! The files of a configuration as they were when it was read, so that it can be read again when they say something else.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Every file of a configuration but those of one-time sequences, which change while it is in force. They hold sequences: its
/// `Debug` shows their number alone.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "controller", derive(serde::Serialize, serde::Deserialize))]
pub struct Archive {
    /// Absolute, as all of them.
    main: PathBuf,
    files: BTreeMap<PathBuf, String>,
}

impl Archive {
    pub(super) fn new<'a>(main: &Path, files: impl Iterator<Item = (&'a Path, &'a str)>) -> Self {
        let files = files.map(|(path, text)| (absolute(path), text.to_owned())).collect();
        Self { main: absolute(main), files }
    }

    pub fn main(&self) -> &Path {
        &self.main
    }

    /// Whether it is of this main file.
    pub fn is_of(&self, main: &Path) -> bool {
        self.main == absolute(main)
    }

    pub(super) fn text(&self, path: &Path) -> Option<&str> {
        self.files.get(&absolute(path)).map(String::as_str)
    }

    /// The files that a pattern would have found, in lexical order.
    pub(super) fn matches(&self, pattern: &str) -> Result<Vec<PathBuf>, glob::PatternError> {
        let pattern = glob::Pattern::new(&absolute(Path::new(pattern)).to_string_lossy())?;
        // As glob::glob looks at directories.
        let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
        let found = self.files.keys().filter(|path| pattern.matches_path_with(path, options));
        Ok(found.cloned().collect())
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({} files)", self.files.len())
    }
}

/// The one name under which a file is found, whichever way it was written.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
