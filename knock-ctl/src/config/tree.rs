//! A TOML document in which every key and value knows its place.

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::report::{Fault, Report};
use super::source::{Place, SourceId};

/// A value and where it begins.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

pub(super) enum Value {
    Text(String),
    /// Wide enough that what does not fit is out of every range that is asked of it.
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

/// Keys in the order of the file.
#[derive(Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) key: String,
    /// Of the key.
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Table {
    pub(super) const EMPTY: &'static Self = &Self { entries: Vec::new() };

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    /// A fault of this value.
    pub(super) fn fault(&self, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault::new(self.place, message, help)
    }

    /// The fault of being of another type than `what`.
    pub(super) fn not_a(&self, what: &str, example: &str) -> Fault {
        let found = match &self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Datetime => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        };
        self.fault(format!("this must be {what}, not {found}"), format!("write {example}"))
    }
}

/// Parses TOML, and reports its syntax errors, one a line: what follows in a line is mostly an echo. `None` when the
/// rest of the document is worth nothing then.
pub(super) fn parse(source: SourceId, text: &str, report: &mut Report) -> Option<Table> {
    let (document, mut errors) = DeTable::parse_recoverable(text);
    let span = |error: &Error| error.span().unwrap_or_default();
    errors.sort_by_key(|error| span(error).start);
    errors.dedup_by(|later, earlier| {
        text.get(span(earlier).start..span(later).start).is_some_and(|between| !between.contains('\n'))
    });
    let mut usable = true;
    for error in errors {
        let place = Place::at(source, span(&error).start);
        report.error(if error.message() == "duplicate key" {
            let key = text.get(span(&error)).unwrap_or_default().trim_matches(['"', '\'']);
            Fault::new(place, format!("{key:?} is here twice"), "keep one of the two, or rename one")
        } else {
            usable = false;
            let message = format!("this is not TOML: {}", error.message());
            Fault::new(
                place,
                message,
                "put strings in quotes and close what is opened, as in opens = [\"22/tcp\"]",
            )
        });
    }
    usable.then(|| table(source, document.into_inner()))
}

fn table(source: SourceId, table: DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            place: Place::at(source, key.span().start),
            key: key.into_inner().into_owned(),
            node: node(source, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.place);
    Table { entries }
}

fn node(source: SourceId, spanned: Spanned<DeValue<'_>>) -> Node {
    let place = Place::at(source, spanned.span().start);
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(digits) => {
            Value::Integer(i128::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(boolean) => Value::Boolean(boolean),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| node(source, item)).collect()),
        DeValue::Table(inner) => Value::Table(table(source, inner)),
    };
    Node { place, value }
}
