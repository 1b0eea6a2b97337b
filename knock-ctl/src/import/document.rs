//! Writes a configuration line by line, and remembers which line of knockd's file each is from.

use toml::Value;

use crate::config::diagnostic::Position;

/// Columns of a line of prose.
const WIDTH: usize = 110;

/// Prose is behind `# `, a setting that can be switched on behind `#` alone.
#[derive(Default)]
pub(super) struct Document {
    text: String,
    origins: Vec<Option<Position>>,
    origin: Option<Position>,
}

impl Document {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Of a line, counted from 1.
    pub(super) fn origin(&self, line: usize) -> Option<Position> {
        self.origins.get(line.checked_sub(1)?).copied().flatten()
    }

    /// What is written from now on comes from there.
    pub(super) fn set_origin(&mut self, origin: Option<Position>) {
        self.origin = origin;
    }

    pub(super) fn blank(&mut self) {
        self.line("");
    }

    pub(super) fn section(&mut self, name: &str) {
        self.line(&format!("[{name}]"));
    }

    pub(super) fn setting(&mut self, key: &str, value: impl Into<Value>) {
        self.line(&format!("{key} = {}", value.into()));
    }

    /// A setting that is switched off.
    pub(super) fn offer(&mut self, key: &str, value: impl Into<Value>) {
        self.line(&format!("#{key} = {}", value.into()));
    }

    /// Prose, broken where a line would be too long.
    pub(super) fn comment(&mut self, text: &str) {
        let mut line = "#".to_owned();
        for word in text.split(' ') {
            if line.len() > 1 && line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line = "#".to_owned();
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    /// A command for a shell, never broken.
    pub(super) fn command(&mut self, command: &str) {
        self.line(&format!("#     {command}"));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        // A value may take several lines.
        self.origins.extend(line.split('\n').map(|_| self.origin));
    }
}
