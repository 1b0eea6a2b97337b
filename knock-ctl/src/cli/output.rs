//! What is written to stdout.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use comfy_table::{Table, presets};
use serde::Serialize;

/// Writes to stdout. A reader that has seen enough is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

/// The content as one JSON object, its version before its members.
pub(super) fn json(content: &impl Serialize) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        version: u32,
        #[serde(flatten)]
        content: &'a T,
    }

    let mut text = serde_json::to_string_pretty(&Versioned { version: 1, content })?;
    text.push('\n');
    Ok(text)
}

/// Aligned columns without borders, the last line ended too.
pub(super) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_last_word() {
        let rows = [["ssh", "3"], ["a-longer-name", "12"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["DOOR", "STEPS"], rows),
            "DOOR           STEPS\nssh            3\na-longer-name  12\n"
        );
    }

    #[test]
    fn json_begins_with_its_version() {
        #[derive(Serialize)]
        struct Content {
            grants: [u8; 0],
        }
        let text = json(&Content { grants: [] }).unwrap();
        assert_eq!(text, "{\n  \"version\": 1,\n  \"grants\": []\n}\n");
    }
}
