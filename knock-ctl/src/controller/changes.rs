//! What one configuration has that another has not, in words. Never a sequence.

use std::collections::HashMap;

use crate::config::{Config, Door};
use crate::datapath::TableSizes;

/// A line for each door and each section that differs.
pub(super) fn between(before: &Config, after: &Config) -> Vec<String> {
    let Config { filter, doors: _, limits, timeouts, log, scanners, metrics } = before;
    let mut lines = doors(&before.doors, &after.doors);
    let sections = [
        ("filter", *filter == after.filter),
        ("limits", *limits == after.limits),
        ("timeouts", *timeouts == after.timeouts),
        ("log", *log == after.log),
        ("scanners", *scanners == after.scanners),
        ("metrics", *metrics == after.metrics),
    ];
    let changed = sections.iter().filter(|(_, same)| !same);
    lines.extend(changed.map(|(name, _)| format!("[{name}]: changed")));
    lines
}

fn doors(before: &[Door], after: &[Door]) -> Vec<String> {
    let earlier: HashMap<&str, &Door> = before.iter().map(|door| (door.name.as_str(), door)).collect();
    let mut lines = Vec::new();
    for door in after {
        match earlier.get(door.name.as_str()) {
            None => lines.push(format!("door {}: added", door.name)),
            Some(known) if *known != door => lines.push(format!("door {}: changed", door.name)),
            Some(_) => {}
        }
    }
    let is_gone = |door: &&Door| after.iter().all(|new| new.name != door.name);
    lines.extend(
        before.iter().filter(is_gone).map(|door| format!("door {}: removed; its grants end", door.name)),
    );
    lines
}

/// What the configuration asks of the tables, that stay as they were made.
pub(super) fn fixed_tables(made: &TableSizes, asked: &TableSizes) -> Option<String> {
    let tables = [
        ("attempts", made.attempt_sets == asked.attempt_sets),
        ("grants", made.grants == asked.grants),
        ("flows", made.flow_sets == asked.flow_sets),
    ];
    let names: Vec<String> =
        tables.iter().filter(|(_, same)| !same).map(|(name, _)| format!("limits.{name}")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{}: the tables stay as large as they were made; `knock-ctl detach` and attach anew to change them",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn parse(text: &str) -> Config {
        config::parse(text, "test", Path::new("")).unwrap().config
    }

    const DOORS: &str = "[doors.ssh]\nsequence = [31207, 5481, 60123]\nopens = [\"22/tcp\"]\n\
                         [doors.web]\nsequence = [31208, 5482, 60124]\nopens = [\"443/tcp\"]\n";

    #[test]
    fn nothing_differs_from_itself() {
        assert_eq!(between(&parse(DOORS), &parse(&format!("# a comment\n{DOORS}"))), Vec::<String>::new());
    }

    #[test]
    fn doors_and_sections_are_named_and_sequences_are_not() {
        let after = "[filter]\npublic = [\"80/tcp\"]\n[log]\nstages = true\n\
                     [doors.ssh]\nsequence = [31207, 5481, 60777]\nopens = [\"22/tcp\"]\n\
                     [doors.mail]\nsequence = [31209, 5483, 60125]\nopens = [\"993/tcp\"]\n";
        let lines = between(&parse(DOORS), &parse(after));
        let expected = [
            "door ssh: changed",
            "door mail: added",
            "door web: removed; its grants end",
            "[filter]: changed",
            "[log]: changed",
        ];
        assert_eq!(lines, expected);
    }
}
