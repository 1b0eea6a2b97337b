//! Takes knockd's file apart: sections, and in each its directives.

use super::notes::Notes;
use crate::config::diagnostic::Position;

/// knockd reads PATH_MAX - 1 bytes of a line, and takes the rest for another line.
const MAX_LINE_BYTES: usize = 4095;

pub(super) struct Section<'a> {
    pub(super) place: Position,
    /// Between the brackets, blanks included; never empty.
    pub(super) name: &'a str,
    pub(super) directives: Vec<Directive<'a>>,
}

/// A line of a section: `key = value`, or a word alone.
pub(super) struct Directive<'a> {
    pub(super) place: Position,
    /// As written.
    pub(super) key: &'a str,
    /// `None` where there is no "=".
    pub(super) value: Option<&'a str>,
}

/// Lines that are neither are reported and left out.
pub(super) fn split<'a>(bytes: &'a [u8], notes: &mut Notes) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    for (index, raw) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = trim(raw);
        let blanks = raw.iter().take_while(|&&byte| is_blank(byte)).count();
        let place = Position { line: index + 1, column: blanks + 1 };
        if raw.len() > MAX_LINE_BYTES {
            notes.error(
                place,
                format!("this line is longer than knockd reads, {MAX_LINE_BYTES} bytes"),
                "shorten it; move a long command into a script",
            );
            continue;
        }
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            notes.error(place, "this line is not UTF-8", "save the file in UTF-8");
            continue;
        };
        if line.contains('\0') {
            notes.error(place, "this line holds a NUL character", "take it out");
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if name.is_empty() {
                notes.error(place, "this section has no name", "write one, as in [openSSH]");
            }
            sections.push(Section { place, name, directives: Vec::new() });
        } else {
            let (key, value) = match line.split_once('=') {
                Some((key, value)) => (key, Some(trim_text(value))),
                None => (line, None),
            };
            match sections.last_mut() {
                Some(section) => {
                    section.directives.push(Directive { place, key: trim_text(key), value });
                }
                None => notes.error(
                    place,
                    "this line is in no section",
                    "write [options] or the name of a door above it, as in [openSSH]",
                ),
            }
        }
    }
    sections
}

/// isspace(3) in the C locale.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trim(line: &[u8]) -> &[u8] {
    let Some(first) = line.iter().position(|&byte| !is_blank(byte)) else { return &[] };
    let last = line.iter().rposition(|&byte| !is_blank(byte)).unwrap_or(first);
    &line[first..=last]
}

pub(super) fn trim_text(text: &str) -> &str {
    text.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_blank))
}
