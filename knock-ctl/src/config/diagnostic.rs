//! What is wrong with a file, where, and what to write instead.

use std::error::Error;
use std::fmt::{self, Write as _};

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
        write!(f, "{}:", OneLine(&self.file))?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}; {}", OneLine(&self.message), OneLine(&self.help))
    }
}

/// Text that may name what stands in a file, with characters escaped that would break the line or steer a terminal.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if character.is_control() {
                write!(f, "{}", character.escape_default())
            } else {
                f.write_char(character)
            }
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_breaks_no_line() {
        let diagnostic = Diagnostic {
            file: "doors.d/o\nce".into(),
            position: Some(Position { line: 2, column: 9 }),
            message: "it names \u{1b}[2J, ä and \"\t\"".into(),
            help: "write another name".into(),
        };
        assert_eq!(
            diagnostic.to_string(),
            r#"doors.d/o\nce:2:9: it names \u{1b}[2J, ä and "\t"; write another name"#
        );
    }
}
