//! Collects what is to be said about knockd's file.

use crate::config::diagnostic::Position;
use crate::config::{ConfigErrors, Diagnostic};

pub(super) struct Notes {
    file: String,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Notes {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new(), warnings: Vec::new() }
    }

    /// Without a position it is about the file as a whole.
    pub(super) fn error(
        &mut self,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let diagnostic = self.diagnostic(position.into(), message.into(), help.into());
        self.errors.push(diagnostic);
    }

    /// As [`Notes::error`].
    pub(super) fn warn(
        &mut self,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let diagnostic = self.diagnostic(position.into(), message.into(), help.into());
        self.warnings.push(diagnostic);
    }

    fn diagnostic(&self, position: Option<Position>, message: String, help: String) -> Diagnostic {
        Diagnostic { file: self.file.clone(), position, message, help }
    }

    /// Fails with the errors so far, in the order of the file.
    pub(super) fn refuse(&mut self) -> Result<(), ConfigErrors> {
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_by_key(|error| error.position);
        ConfigErrors::from_list(errors).map_or(Ok(()), Err)
    }

    /// In the order of the file.
    pub(super) fn into_warnings(mut self) -> Vec<Diagnostic> {
        self.warnings.sort_by_key(|warning| warning.position);
        self.warnings
    }
}
