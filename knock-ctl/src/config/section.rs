//! Reads one section of the file, and learns from what it is asked which keys exist.

use super::hosts;
use super::report::{Fault, Located, Report};
use super::tree::{Entry, Node, Table, Value};

/// Which kind of section it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Filter,
    Trusted,
    Door,
    Limits,
    Timeouts,
    Log,
    Scanners,
    /// The whole of hosts.toml.
    HostsFile,
    Host,
    Metrics,
}

/// Every key that is asked for is thereby known; `finish` reports the others. So no list of keys exists beside the
/// reading itself.
pub(super) struct Section<'a> {
    /// As messages name it, `[doors.ssh]`.
    label: String,
    kind: Kind,
    own: &'a Table,
    /// Stands in for keys that are missing: `[door_defaults]`.
    fallback: &'a Table,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(kind: Kind, label: impl Into<String>, own: &'a Table) -> Self {
        Self { label: label.into(), kind, own, fallback: Table::EMPTY, asked: Vec::new() }
    }

    pub(super) fn with_fallback(self, fallback: &'a Table) -> Self {
        Self { fallback, ..self }
    }

    /// Without making the key known.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.own.get(key).or_else(|| self.fallback.get(key)).is_some()
    }

    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.asked.push(key);
        self.own.get(key).or_else(|| self.fallback.get(key))
    }

    /// Of two keys that exclude each other, the one that is given: as a pair they fall back together.
    pub(super) fn either<const N: usize>(
        &mut self,
        keys: [&'static str; N],
        report: &mut Report,
    ) -> Option<&'a Entry> {
        self.asked.extend(keys);
        [self.own, self.fallback].into_iter().find_map(|table| {
            let mut given = keys.iter().filter_map(|key| table.get(key));
            let first = given.next()?;
            if let Some(second) = given.next() {
                report.error(Fault::new(
                    first.place.max(second.place),
                    format!("\"{}\" and \"{}\" are both given", first.key, second.key),
                    "keep one of the two",
                ));
            }
            Some(first)
        })
    }

    /// `None` when the key is absent or, reported, wrong.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        reader: impl FnOnce(&'a Node) -> Result<T, Fault>,
    ) -> Option<T> {
        self.entry(key).and_then(|entry| read_entry(entry, report, reader))
    }

    /// The sound items of a list, each faulty one reported.
    pub(super) fn read_list<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        reader: impl Fn(&'a Node, &mut Report) -> Result<T, Fault>,
    ) -> Vec<Located<T>> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Value::Array(items) = &entry.node.value else {
            report.error(entry.node.not_a("a list", &list_example(&entry.node)).of(key));
            return Vec::new();
        };
        let mut sound = Vec::with_capacity(items.len());
        for node in items {
            match reader(node, report) {
                Ok(value) => sound.push(Located { place: node.place, value }),
                Err(fault) => report.error(fault.of(key)),
            }
        }
        sound
    }

    /// A section within this one; an absent one is an empty one.
    pub(super) fn table(&mut self, key: &'static str, report: &mut Report) -> &'a Table {
        self.entry(key).and_then(|entry| entry_table(entry, key, report)).unwrap_or(Table::EMPTY)
    }

    /// Reports keys that nobody asked for. Returns the keys that were
    /// probably meant, so that they need not be called missing too.
    pub(super) fn finish(self, report: &mut Report) -> Vec<&'static str> {
        let unknown = self.own.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str()));
        unknown
            .filter_map(|entry| {
                let meant = nearest(&entry.key, self.asked.iter().copied());
                report.error(self.unknown(entry, meant));
                meant
            })
            .collect()
    }

    fn unknown(&self, entry: &Entry, meant: Option<&str>) -> Fault {
        let is_section = matches!(entry.node.value, Value::Table(_));
        let message = match self.kind {
            Kind::File | Kind::HostsFile if is_section => format!("unknown section {:?}", entry.key),
            _ => format!("unknown key {:?} {}", entry.key, self.label),
        };
        let help = match (self.kind, meant) {
            (_, Some(key)) => format!("did you mean \"{key}\"?"),
            (Kind::HostsFile, None) if is_section => {
                format!("write [hosts.{}]", hosts::section_name(&entry.key))
            }
            (Kind::Host, None) if is_section => {
                "put a name with dots in quotes, as in [hosts.\"example.net\"]".to_owned()
            }
            _ => format!("known here: {}", self.asked.join(", ")),
        };
        Fault::new(entry.place, message, help)
    }
}

pub(super) fn read_entry<'a, T>(
    entry: &'a Entry,
    report: &mut Report,
    reader: impl FnOnce(&'a Node) -> Result<T, Fault>,
) -> Option<T> {
    reader(&entry.node).map_err(|fault| report.error(fault.of(&entry.key))).ok()
}

/// The table of a section called `label`.
pub(super) fn entry_table<'a>(entry: &'a Entry, label: &str, report: &mut Report) -> Option<&'a Table> {
    match &entry.node.value {
        Value::Table(table) => Some(table),
        _ => {
            let fault = entry.node.not_a("a section", &format!("[{label}] on a line of its own"));
            report.error(Fault { place: entry.place, ..fault }.of(&entry.key));
            None
        }
    }
}

/// The candidate that `word` is most likely a slip of.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_ascii_lowercase();
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|&(distance, candidate)| {
            distance <= (candidate.len() / 3).max(1) || (word.len() >= 4 && candidate.contains(&word))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn list_example(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => format!("[{text:?}]"),
        _ => "[...]".to_owned(),
    }
}
