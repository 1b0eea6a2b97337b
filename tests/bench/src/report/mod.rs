//! What a run has found: tables, a JSON file and plots of the same figures.

mod document;
mod legend;
mod plot;
mod publish;
mod text;

pub use document::{Document, Environment};
pub use plot::{Plot, Scale};

use serde::{Serialize, Serializer};

use crate::sample::Sample;

/// One table, its plot, and what is to be known about both.
#[derive(Debug, Serialize)]
pub struct Section {
    /// Of its files.
    pub name: &'static str,
    pub title: &'static str,
    /// Headings, that of the rows first.
    pub columns: Vec<&'static str>,
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
    #[serde(skip)]
    pub plots: Vec<Plot>,
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// The part of a section that the README has.
#[derive(Debug)]
pub struct Excerpt {
    /// By their names; those that were not measured are left out.
    pub rows: Vec<String>,
    /// By their numbers, that of the names being 0.
    pub columns: Vec<usize>,
}

#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub cells: Vec<Cell>,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// In the unit of its column or row.
    Sample(Sample),
    Number(f64),
    /// One measurement divided by another.
    Ratio(f64),
    /// So many of so many tries.
    Share(usize, usize),
    /// There is nothing to measure.
    #[serde(serialize_with = "null")]
    Nothing,
    /// What was to be measured did not happen, or the peer is not here.
    Failed(String),
}

impl Section {
    pub fn new(name: &'static str, title: &'static str, columns: &[&'static str]) -> Self {
        Self {
            name,
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
            plots: Vec::new(),
            excerpt: None,
        }
    }

    pub fn row(&mut self, name: impl Into<String>, cells: Vec<Cell>) {
        self.rows.push(Row { name: name.into(), cells });
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// What went wrong: where, and how.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows.iter().flat_map(|row| {
            row.cells.iter().filter_map(|cell| match cell {
                Cell::Failed(why) => Some((row.name.as_str(), why.as_str())),
                _ => None,
            })
        })
    }
}

impl Cell {
    /// Of repeats of one measurement.
    pub fn of(repeats: &[f64]) -> Self {
        Sample::of(repeats).map_or(Self::Nothing, Self::Sample)
    }

    /// Its one figure, where it has one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Sample(sample) => Some(sample.median),
            Self::Number(number) | Self::Ratio(number) => Some(*number),
            Self::Share(done, of) => Some(*done as f64 / (*of).max(1) as f64),
            Self::Nothing | Self::Failed(_) => None,
        }
    }

    /// Divided by another, where both have a figure.
    pub fn over(&self, other: &Self) -> Self {
        if let (Self::Sample(this), Self::Sample(other)) = (self, other)
            && let Some(ratio) = this.over(other)
        {
            return Self::Ratio(ratio);
        }
        match (self.value(), other.value()) {
            (Some(this), Some(other)) if other != 0.0 => Self::Ratio(this / other),
            _ => Self::Nothing,
        }
    }
}

fn null<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_figures_have_ratios() {
        let ratio = |one: Cell, other: Cell| one.over(&other).value();
        assert_eq!(ratio(Cell::of(&[3.0]), Cell::Number(4.0)), Some(0.75));
        assert_eq!(ratio(Cell::Share(1, 2), Cell::Number(2.0)), Some(0.25));
        assert_eq!(ratio(Cell::Number(1.0), Cell::Number(0.0)), None);
        assert_eq!(ratio(Cell::Number(1.0), Cell::Failed("no".into())), None);
        assert_eq!(ratio(Cell::of(&[]), Cell::Number(1.0)), None);
    }

    #[test]
    fn what_failed_is_told_with_its_row() {
        let mut section = Section::new("name", "title", &["what", "figure"]);
        section.row("good", vec![Cell::Number(1.0)]);
        section.row("bad", vec![Cell::Nothing, Cell::Failed("it did not open".into())]);
        assert_eq!(section.failures().collect::<Vec<_>>(), [("bad", "it did not open")]);
    }
}
