//! knockd's configuration as ours: [`import`] means by its text what knockd 0.8 means by its file.
//!
//! The file is taken apart into sections and lines, each line is read as knockd's parseconfig() reads it, and the
//! doors are written down in our notation. What knockd leaves unsaid and our defaults say otherwise is written out.

mod document;
mod doors;
mod firewall;
mod knockd;
mod lines;
mod names;
mod notes;
mod number;
mod offer;
mod options;
mod read;
mod sequence;
mod tcp_flags;
mod timeouts;
mod translate;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::config::{self, ConfigErrors, Diagnostic};
use notes::Notes;

/// A configuration in our notation.
pub struct Imported {
    /// [`config::parse`] takes it. It holds the sequences.
    pub text: String,
    /// What knockd's file says and our configuration can't, with the lines of knockd's file.
    pub warnings: Vec<Diagnostic>,
}

/// Translates the bytes of a knockd.conf(5), which messages call `name`.
///
/// # Errors
/// All that knockd refuses in its file, and all that our configuration refuses of what it means.
pub fn import(bytes: &[u8], name: &str) -> Result<Imported, ConfigErrors> {
    let mut notes = Notes::new(name);
    let sections = lines::split(bytes, &mut notes);
    let file = read::read(&sections, &mut notes);
    notes.refuse()?;
    let document = translate::translate(&file, &mut notes);
    notes.refuse()?;
    // Relative paths are written out, so it makes no difference where the text will be.
    if let Err(errors) = config::parse(document.text(), name, Path::new("")) {
        for error in errors.diagnostics() {
            let line = error.position.map(|position| position.line);
            notes.error(line.and_then(|line| document.origin(line)), &error.message, &error.help);
        }
    }
    notes.refuse()?;
    Ok(Imported { text: document.into_text(), warnings: notes.into_warnings() })
}
