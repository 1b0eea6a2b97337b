//! `status` for people.

use std::time::Duration;

use knock_common::reason::Verdict;

use super::report::{
    Attachment, ConfigReport, CountersReport, HeldReport, InterfaceReport, Lapsed, StatusReport, TablesReport,
};
use crate::cli::output;
use crate::config::duration::format_duration;

impl StatusReport {
    /// Several lines, the last one ended too.
    pub(super) fn to_text(&self) -> String {
        let mut text = self.facts();
        if !self.doors.is_empty() {
            let rows = self.doors.iter().map(|door| {
                let opens = if door.opens.is_empty() { "-".to_owned() } else { door.opens.join(", ") };
                [door.name.clone(), door.steps.to_string(), opens, door.opened.to_string()]
            });
            text += "\n";
            text += &output::table(["DOOR", "STEPS", "OPENS", "OPENED"], rows);
        }
        if self.has_filter() {
            let TablesReport { grants, attempts, flows, outgoing } = &self.tables;
            // A source can hold several grants.
            let tables = [
                ("grants", grants, " sources"),
                ("attempts", attempts, ""),
                ("flows", flows, ""),
                ("outgoing", outgoing, ""),
            ];
            let rows = tables.map(|(name, table, unit)| {
                [name.to_owned(), table.used.to_string(), format!("{}{unit}", table.max)]
            });
            text += "\n";
            text += &output::table(["TABLE", "USED", "ROOM FOR"], rows);
        }
        text
    }

    fn facts(&self) -> String {
        let mut lines: Vec<(&str, String)> = Vec::new();
        match self.attachment() {
            Attachment::NotAttached => {
                lines.push(("Attached", "nowhere in this network namespace".to_owned()))
            }
            _ => lines.extend(self.interfaces.iter().map(|interface| ("Attached", on(interface)))),
        }
        lines.push(match &self.controller {
            Some(controller) => ("Controller", format!("process {}", controller.pid)),
            None if self.attachment() == Attachment::NoController => (
                "Controller",
                "none: doors open all the same, but no command runs and nothing is logged".to_owned(),
            ),
            None => ("Controller", "none".to_owned()),
        });
        lines.extend(self.rules().map(|text| ("Rules", text)));
        lines.extend(self.policy.iter().map(|policy| ("Policy", policy.clone())));
        if self.enforce == Some(false) {
            lines.push(("Enforced", "no: nothing is dropped, what would be is counted".to_owned()));
        }
        lines.extend(self.config.iter().map(|config| ("Config", loaded(config))));
        lines.extend(self.held.iter().map(|held| ("Held", until_released(held))));
        if self.has_filter() {
            lines.push(("Packets", packets(&self.counters)));
        }
        lines.into_iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect()
    }
}

impl StatusReport {
    /// What is out of the ordinary about the rules in force.
    fn rules(&self) -> Option<String> {
        match (self.confirm_in_ms, self.lapsed) {
            (Some(milliseconds), _) => {
                let left = Duration::from_secs(milliseconds.div_ceil(1000));
                Some(format!(
                    "changed, and the change is undone in {}, unless `knock-ctl confirm` keeps it",
                    format_duration(left)
                ))
            }
            (None, Some(Lapsed::ToRulesBefore)) => {
                Some("those before the last change, which was not confirmed in time".to_owned())
            }
            (None, Some(Lapsed::ToNothing)) => Some(
                "none in force: everything passes, as they were not confirmed in time; `knock-ctl attach` puts some \
                 into force, `knock-ctl detach` takes the filter off"
                    .to_owned(),
            ),
            (None, None) => None,
        }
    }
}

fn on(interface: &InterfaceReport) -> String {
    let InterfaceReport { name, index, mode, program_id } = interface;
    format!("{name} (index {index}), {mode}, program {program_id}")
}

fn until_released(held: &HeldReport) -> String {
    let left = Duration::from_secs(held.expires_in_ms.div_ceil(1000));
    format!("{} for scanning, for {}", held.address, format_duration(left))
}

fn loaded(config: &ConfigReport) -> String {
    let changed = if config.differs_from_disk { "; not what is on disk now" } else { "" };
    format!("{}, loaded {}{changed}", config.path.display(), config.loaded_at)
}

/// Both sums, each with the reasons that made it.
fn packets(counters: &CountersReport) -> String {
    let part = |sum: u64, done: &str, verdict: Verdict| {
        let reasons: Vec<String> = counters
            .by_reason
            .iter()
            .filter(|(reason, count)| *count != 0 && reason.verdict() == verdict)
            .map(|(reason, count)| format!("{} {count}", reason.name()))
            .collect();
        match &reasons[..] {
            [] => format!("{sum} {done}"),
            reasons => format!("{sum} {done} ({})", reasons.join(", ")),
        }
    };
    let passed = part(counters.pass, "passed", Verdict::Pass);
    format!("{passed}, {}", part(counters.drop, "dropped", Verdict::Drop))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn the_text_form_is_aligned() {
        let expected = "\
Attached    eth0 (index 2), native, program 41
Controller  process 812
Policy      pass
Config      /etc/knock/knock.toml, loaded 2026-11-21T06:37:00Z
Held        203.0.113.9 for scanning, for 599s
Packets     1234 passed (public 1200, would_drop 34), 99 dropped (malformed 1, no_grant 98)

DOOR  STEPS  OPENS   OPENED
ssh   3      22/tcp  4
gate  4      -       0

TABLE     USED  ROOM FOR
grants    1     65536 sources
attempts  7     2097152
flows     0     262144
outgoing  3     262144
";
        assert_eq!(report().to_text(), expected);
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_said() {
        let mut report = report();
        report.controller = None;
        report.enforce = Some(false);
        report.config.as_mut().unwrap().differs_from_disk = true;
        let text = report.to_text();
        for line in [
            "Controller  none: doors open all the same",
            "Enforced    no: nothing is dropped",
            "Config      /etc/knock/knock.toml, loaded 2026-11-21T06:37:00Z; not what is on disk now\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }

    #[test]
    fn what_waits_or_was_not_confirmed_is_said() {
        let rules = |confirm_in_ms, lapsed| {
            let text = StatusReport { confirm_in_ms, lapsed, ..report() }.to_text();
            text.lines().find(|line| line.starts_with("Rules")).map(str::to_owned)
        };
        let expected =
            "Rules       changed, and the change is undone in 42s, unless `knock-ctl confirm` keeps it";
        assert_eq!(rules(Some(41_001), None).as_deref(), Some(expected));
        assert!(rules(None, Some(Lapsed::ToNothing)).unwrap().contains("everything passes"));
        assert!(rules(None, Some(Lapsed::ToRulesBefore)).unwrap().contains("those before the last change"));
        assert_eq!(rules(None, None), None);
    }

    #[test]
    fn without_a_filter_there_is_little_to_say() {
        let expected = "Attached    nowhere in this network namespace\nController  none\n";
        assert_eq!(StatusReport::without_filter(None).to_text(), expected);
    }
}
