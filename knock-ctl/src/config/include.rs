//! Reads the main file and those it includes into one document.

use std::fs;
use std::path::PathBuf;

use super::report::{Fault, Report};
use super::scalar;
use super::source::{SourceId, Sources};
use super::tree::{self, Entry, Node, Table, Value};

/// The document of `main` with everything it includes. Without `include`, which is thereby known and done with.
/// `None` when a file has syntax errors: what the others say cannot be judged then.
pub(super) fn read(main: SourceId, sources: &mut Sources, report: &mut Report) -> Option<Table> {
    let mut document = tree::parse(main, sources.text(main), report);
    let include = document.as_mut().and_then(take_include);
    let Some(include) = include else { return document };
    for path in included_paths(main, &include, sources, report) {
        let (path, named_by) = path;
        let id = match sources.add_file(&path, report) {
            Ok(id) => id,
            Err(error) => {
                let message = format!("include: {}: {}", path.display(), error.message);
                report.error(named_by.fault(message, error.help));
                continue;
            }
        };
        let Some(mut included) = tree::parse(id, sources.text(id), report) else {
            document = None;
            continue;
        };
        if let Some(nested) = take_include(&mut included) {
            report.error(Fault::new(
                nested.place,
                "an included file cannot include others",
                format!("name them in {}", sources.name_line(include.place)),
            ));
        }
        if let Some(document) = &mut document {
            merge(document, included, sources, report);
        }
    }
    document
}

fn take_include(table: &mut Table) -> Option<Entry> {
    let index = table.entries.iter().position(|entry| entry.key == "include")?;
    Some(table.entries.remove(index))
}

/// The files that the patterns name, each once, each with the pattern that names it first.
fn included_paths<'a>(
    main: SourceId,
    include: &'a Entry,
    sources: &Sources,
    report: &mut Report,
) -> Vec<(PathBuf, &'a Node)> {
    let Value::Array(patterns) = &include.node.value else {
        let example = "include = [\"/etc/knock/doors.d/*.toml\"]";
        report.error(include.node.not_a("a list of paths", example).of("include"));
        return Vec::new();
    };
    let mut found: Vec<(PathBuf, &Node)> = Vec::new();
    let mut seen: Vec<PathBuf> =
        sources.path(main).and_then(|path| fs::canonicalize(path).ok()).into_iter().collect();
    for node in patterns {
        match expand(main, node, sources) {
            Ok(paths) => {
                if paths.is_empty() {
                    warn_of_missing_directory(main, node, sources, report);
                }
                for path in paths {
                    let canonical = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
                    if !seen.contains(&canonical) {
                        seen.push(canonical);
                        found.push((path, node));
                    }
                }
            }
            Err(fault) => report.error(fault.of("include")),
        }
    }
    found
}

/// A directory may well be empty; one that does not exist is misspelt.
fn warn_of_missing_directory(main: SourceId, node: &Node, sources: &Sources, report: &mut Report) {
    let Value::Text(text) = &node.value else { return };
    let path = sources.resolve_path(main, text);
    let Some(directory) = path.parent().filter(|parent| !has_wildcards(&parent.to_string_lossy())) else {
        return;
    };
    if !directory.is_dir() {
        let message = format!("include: there is no directory {}", directory.display());
        report.warn(node.fault(message, "create it, or correct the path"));
    }
}

fn has_wildcards(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The paths that one pattern stands for, in lexical order. A pattern without wildcards is the path itself.
fn expand(main: SourceId, node: &Node, sources: &Sources) -> Result<Vec<PathBuf>, Fault> {
    let text = scalar::text(node, "a path", "\"/etc/knock/doors.d/*.toml\"")?;
    let path = sources.resolve_path(main, text);
    if !has_wildcards(text) {
        return Ok(vec![path]);
    }
    let cure = "write a path such as \"/etc/knock/doors.d/*.toml\"";
    if text.contains("**") {
        return Err(node.fault("\"**\" is not taken: it would search whole trees", cure));
    }
    // Wildcards in the directory of the main file stand for themselves.
    let base = glob::Pattern::escape(&sources.resolve_path(main, "").to_string_lossy());
    let pattern = PathBuf::from(base).join(text);
    let no_pattern =
        |error: glob::PatternError| node.fault(format!("{text:?} is not a pattern: {}", error.msg), cure);
    let pattern = pattern.to_string_lossy();
    if let Some(paths) = sources.archived(&pattern) {
        return paths.map_err(no_pattern);
    }
    let paths = glob::glob(&pattern).map_err(no_pattern)?;
    paths.collect::<Result<Vec<_>, _>>().map_err(|error| {
        let message = format!("{}: {}", error.path().display(), error.error());
        node.fault(message, "run this as a user who may read that directory")
    })
}

/// Adds what an included file says. Doors and other sections come together, the lists of `[filter]` join; whatever
/// else is said twice is an error that names both files.
fn merge(document: &mut Table, included: Table, sources: &Sources, report: &mut Report) {
    for section in included.entries {
        let Some(known) = document.entries.iter_mut().find(|entry| entry.key == section.key) else {
            document.entries.push(section);
            continue;
        };
        match (&mut known.node.value, section.node.value) {
            (Value::Table(known), Value::Table(added)) => {
                merge_section(&section.key, known, added, sources, report);
            }
            (_, value) => {
                let node = Node { value, ..section.node };
                report.error(said_twice(known, &Entry { node, ..section }, "", sources));
            }
        }
    }
}

fn merge_section(name: &str, document: &mut Table, added: Table, sources: &Sources, report: &mut Report) {
    for entry in added.entries {
        let Some(known) = document.entries.iter_mut().find(|known| known.key == entry.key) else {
            document.entries.push(entry);
            continue;
        };
        match (&mut known.node.value, entry.node.value) {
            (Value::Array(known), Value::Array(added)) if name == "filter" => known.extend(added),
            (_, value) => {
                let node = Node { value, ..entry.node };
                report.error(said_twice(known, &Entry { node, ..entry }, name, sources));
            }
        }
    }
}

fn said_twice(first: &Entry, second: &Entry, section: &str, sources: &Sources) -> Fault {
    let what = match section {
        "" => format!("{:?}", second.key),
        "doors" => format!("door {:?}", second.key),
        _ => format!("{:?} of [{section}]", second.key),
    };
    let elsewhere = sources.name_line(first.place);
    Fault::new(second.place, format!("{what} is also in {elsewhere}"), "keep one of the two")
}
