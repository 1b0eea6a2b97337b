//! What is wrong with a file, where, and what to write instead.

use std::error::Error;
use std::fmt;

/// A place in a file: line and column count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// One error or warning. Shown as `knock.toml:7:14: message; help`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// As the file was named by whoever asked for it.
    pub file: String,
    /// `None`: it is about the file as a whole.
    pub position: Option<Position>,
    pub message: String,
    /// What to write or do instead; never empty.
    pub help: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}; {}", self.message, self.help)
    }
}

/// Every error of a configuration, in the order of the files; at least one. Shown one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Diagnostic>);

impl ConfigErrors {
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }

    /// `None` when there is no error.
    pub(crate) fn from_list(errors: Vec<Diagnostic>) -> Option<Self> {
        if errors.is_empty() { None } else { Some(Self(errors)) }
    }
}

impl From<Diagnostic> for ConfigErrors {
    fn from(error: Diagnostic) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
