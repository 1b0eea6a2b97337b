//! Tables, for the terminal and as Markdown.

use std::fmt::{self, Display, Formatter};

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, Table, TableStyle};

use super::{Cell, Row, Section};

impl Section {
    /// For the terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n", self.title, self.table(NOTHING));
        for (row, why) in self.failures() {
            text += &format!("  failed: {row}: {why}\n");
        }
        for note in &self.notes {
            text += &format!("  - {note}\n");
        }
        text
    }

    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n", self.title, self.table(ASCII_MARKDOWN));
        for plot in &self.plots {
            text += &format!("\n![{}]({})\n", plot.title, plot.file());
        }
        if !self.notes.is_empty() {
            text += "\n";
        }
        for note in &self.notes {
            text += &format!("- {note}\n");
        }
        text
    }

    /// For the README, whose plots lie in a folder. `None`: it has nothing of this section.
    pub fn excerpt(&self, folder: &str) -> Option<String> {
        let excerpt = self.excerpt.as_ref()?;
        let pick = |words: Vec<String>| -> Vec<String> {
            excerpt.columns.iter().map(|&column| words.get(column).cloned().unwrap_or_default()).collect()
        };
        let header = pick(self.columns.iter().map(ToString::to_string).collect());
        let rows = self.rows.iter().filter(|row| excerpt.rows.contains(&row.name));
        let table = table(ASCII_MARKDOWN, header, rows.map(|row| pick(row.words())));
        let plots = self.plots.iter().map(|plot| format!("\n![{}]({folder}/{})\n", plot.title, plot.file()));
        Some(format!("{}:\n\n{table}\n{}", self.title, plots.collect::<String>()))
    }

    fn table(&self, style: TableStyle) -> Table {
        let header = self.columns.iter().map(ToString::to_string).collect();
        table(style, header, self.rows.iter().map(Row::words))
    }
}

impl Row {
    fn words(&self) -> Vec<String> {
        [self.name.clone()].into_iter().chain(self.cells.iter().map(Cell::to_string)).collect()
    }
}

fn table(style: TableStyle, header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(style).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sample(sample) if sample.spread == 0.0 => write!(f, "{}", short(sample.median)),
            Self::Sample(sample) => write!(f, "{} ± {}", short(sample.median), short(sample.spread)),
            Self::Number(number) => write!(f, "{}", short(*number)),
            Self::Ratio(ratio) => write!(f, "{ratio:.2}"),
            Self::Share(done, of) => write!(f, "{done} of {of}"),
            Self::Nothing => Ok(()),
            Self::Failed(_) => f.write_str("failed"),
        }
    }
}

/// Three significant digits, and every digit before the point, in groups.
fn short(number: f64) -> String {
    let digits = match number.abs() {
        _ if number.fract() == 0.0 => 0,
        number if number >= 100.0 => 0,
        number if number >= 10.0 => 1,
        number if number >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{number:.digits$}");
    let Some(at) = plain.find('.').or(Some(plain.len())).filter(|at| *at > 3) else {
        return plain;
    };
    let (whole, rest) = plain.split_at(at);
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Excerpt;
    use crate::sample::Sample;

    #[test]
    fn figures_are_as_long_as_they_are_sure() {
        for (number, text) in [
            (0.0, "0"),
            (0.1234, "0.123"),
            (7.861, "7.86"),
            (57.04, "57.0"),
            (157.6, "158"),
            (1_234_567.8, "1,234,568"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(short(number), text);
        }
        let sample = Sample::of(&[126.18, 131.2, 136.22]).unwrap();
        assert_eq!(Cell::Sample(sample).to_string(), "131 ± 2.51");
        assert_eq!(Cell::Share(9, 10).to_string(), "9 of 10");
    }

    #[test]
    fn an_excerpt_has_some_rows_and_columns() {
        let mut section = Section::new("costs", "Costs", &["packet", "ns", "ratio"]);
        section.row("data", vec![Cell::Number(5.0), Cell::Ratio(0.5)]);
        section.row("knock", vec![Cell::Number(50.0), Cell::Ratio(2.0)]);
        assert_eq!(section.excerpt("docs"), None);
        section.excerpt = Some(Excerpt { rows: vec!["knock".into(), "gone".into()], columns: vec![0, 2] });
        let text = section.excerpt("docs").unwrap();
        assert!(text.starts_with("Costs:\n\n| packet | ratio |\n"), "{text}");
        assert!(text.contains("| knock  |  2.00 |") && !text.contains("data"), "{text}");
    }

    #[test]
    fn a_section_is_a_table_in_markdown() {
        let mut section = Section::new("costs", "Costs", &["packet", "ns"]);
        section.row("data", vec![Cell::Number(5.0)]);
        section.note("Measured.");
        let text = section.markdown();
        assert!(text.starts_with("## Costs\n\n| packet"), "{text}");
        assert!(text.contains("| data   |  5 |"), "{text}");
        assert!(text.ends_with("\n- Measured.\n"), "{text}");
    }
}
