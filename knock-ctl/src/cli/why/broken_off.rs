//! Why the last attempt of a source came to nothing.

use std::collections::BTreeSet;

use knock_common::attempt::BrokenBy;
use knock_common::time::Boottime;
use serde::Serialize;

use super::report::seconds;
use crate::cli::door_or_port::Doors;
use crate::rules::Compiled;

/// An attempt that a wrong knock ended.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct BrokenOffReport {
    /// Those that had been taken.
    steps: u8,
    ms_ago: u64,
    cause: Cause,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Cause {
    /// A later knock of these doors came before its turn.
    OutOfOrder { doors: Vec<String> },
    /// A knock of these doors came, which is none that could have followed.
    OtherKnock { doors: Vec<String> },
    /// What came is no door's knock. Only such a port is told: others are secrets.
    NoKnock { port: String },
}

impl BrokenOffReport {
    pub(super) fn new(by: &BrokenBy, rules: &Compiled, doors: &Doors, now: Boottime) -> Self {
        let occurrences = rules
            .occurrences
            .iter()
            .filter(|(key, _)| key.port == by.port && key.protocol == by.protocol as u8);
        let all: Vec<_> =
            occurrences.map(|(key, positions)| (doors.door_name(key.door), *positions)).collect();
        // The next knock would have been at this position.
        let comes_later = |positions: u32| positions.checked_shr(u32::from(by.steps) + 1).unwrap_or(0) != 0;
        let later: BTreeSet<String> = all
            .iter()
            .filter(|(_, positions)| comes_later(*positions))
            .map(|(name, _)| name.clone())
            .collect();
        let cause = if !later.is_empty() {
            Cause::OutOfOrder { doors: later.into_iter().collect() }
        } else if !all.is_empty() {
            let doors: BTreeSet<String> = all.into_iter().map(|(name, _)| name).collect();
            Cause::OtherKnock { doors: doors.into_iter().collect() }
        } else {
            Cause::NoKnock { port: format!("{}/{}", by.port, by.protocol) }
        };
        Self { steps: by.steps, ms_ago: now.milliseconds().saturating_sub(by.time), cause }
    }

    pub(super) fn to_text(&self) -> String {
        let (steps, plural) = (self.steps, if self.steps == 1 { "" } else { "s" });
        let cause = match &self.cause {
            Cause::OutOfOrder { doors } => {
                format!("its knocks arrived out of order, a later one of {} too early", doors.join(", "))
            }
            Cause::OtherKnock { doors } => {
                format!("a knock of {} came that does not follow", doors.join(", "))
            }
            Cause::NoKnock { port } => format!("{port} came, which is no knock"),
        };
        format!("{} ago, after {steps} step{plural}: {cause}", seconds(self.ms_ago))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use knock_common::port::Protocol;
    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::rules::{PreviousStates, RuleSet, compile};

    const RULES: &str = "[doors.ssh]\nsequence = [7000, \"8000/udp\", 9000]\nopens = [\"22/tcp\"]\n\
                         [doors.web]\nsequence = [7001, 9001, 7002]\nopens = [\"443/tcp\"]\n";

    fn report(steps: u8, protocol: Protocol, port: u16) -> BrokenOffReport {
        let config = config::parse(RULES, "test", Path::new("")).unwrap().config;
        let rules = RuleSet::from_config(&config, &Default::default());
        let compiled = compile(&rules, &PreviousStates::new()).unwrap();
        let by = BrokenBy { steps, protocol, port, time: 1_000 };
        BrokenOffReport::new(&by, &compiled, &Doors::new(None), Boottime::from_milliseconds(13_000))
    }

    #[test]
    fn a_later_knock_of_the_door_came_too_early() {
        let report = report(1, Protocol::Tcp, 9000);
        assert!(
            report.to_text().starts_with("12s ago, after 1 step: its knocks arrived out of order"),
            "{report:?}"
        );
    }

    #[test]
    fn a_knock_that_is_never_later_is_another_door_s() {
        assert!(matches!(report(2, Protocol::Tcp, 7001).cause, Cause::OtherKnock { .. }));
    }

    #[test]
    fn a_port_that_is_no_knock_is_named_and_no_other() {
        let report = report(2, Protocol::Tcp, 8000);
        let told = serde_json::to_value(&report).unwrap();
        assert_eq!(
            told,
            json!({ "steps": 2, "ms_ago": 12_000, "cause": { "no_knock": { "port": "8000/tcp" } } })
        );
        assert_eq!(report.to_text(), "12s ago, after 2 steps: 8000/tcp came, which is no knock");
    }
}
