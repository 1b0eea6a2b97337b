//! What became of a kernel, read from the machine's report.

use std::collections::BTreeMap;
use std::time::Duration;

use knock_guest::{End, Report};

/// One process of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// `None`: the machine ended first.
    pub end: Option<End>,
    pub took: Duration,
    pub said: Vec<String>,
}

impl Run {
    pub fn passed(&self) -> bool {
        self.end == Some(End::Exit(0))
    }

    /// Whether a test of it has passed; `None`: it did not run.
    pub fn has_passed(&self, test: &str) -> Option<bool> {
        let result = self.said.iter().find_map(|line| line.strip_prefix("test ")?.strip_prefix(test));
        result.map(|result| result == " ... ok")
    }

    /// Tests that have passed and failed, by the lines of Rust's test harness.
    pub fn count(&self) -> (usize, usize) {
        let ended_as = |word: &str| {
            let is_result = |line: &&String| line.starts_with("test ") && line.ends_with(word);
            self.said.iter().filter(is_result).count()
        };
        let failed = ended_as("... FAILED");
        // It may have died before it could tell.
        (ended_as("... ok"), if self.passed() { failed } else { failed.max(1) })
    }
}

/// What a machine reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The release of the kernel that came up.
    pub booted: Option<String>,
    /// By the number of the step.
    pub runs: BTreeMap<usize, Run>,
    /// The plan was carried out; whether its tests passed is another matter.
    pub is_complete: bool,
    /// Why the machine could not go on.
    pub failure: Option<String>,
}

impl Outcome {
    pub fn parse(report: &str) -> Self {
        let mut outcome = Self::default();
        let mut current = 0;
        for report in report.lines().filter_map(Report::parse) {
            match report {
                Report::Booted { release } => outcome.booted = Some(release),
                Report::Begins(step) => {
                    current = step;
                    outcome.runs.insert(step, Run::default());
                }
                Report::Said(line) => outcome.runs.entry(current).or_default().said.push(line),
                Report::Ended { step, end, took } => {
                    let run = outcome.runs.entry(step).or_default();
                    (run.end, run.took) = (Some(end), took);
                }
                Report::Done => outcome.is_complete = true,
                Report::Failed(why) => outcome.failure = Some(why),
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "booted 6.1.0\r\nbegins 0\r\n| test a ... ok\r\n| test b ... ok\r\nended 0 exit 0 90\r\n\
                          begins 1\r\n| test c ... FAILED\r\nended 1 exit 101 5\r\n";

    #[test]
    fn each_run_has_its_end_and_its_tests() {
        let outcome = Outcome::parse(&format!("{REPORT}done\r\n"));
        assert!(outcome.is_complete && outcome.failure.is_none());
        assert_eq!(outcome.booted.as_deref(), Some("6.1.0"));
        assert_eq!(outcome.runs.values().map(Run::count).collect::<Vec<_>>(), [(2, 0), (0, 1)]);
        assert_eq!(outcome.runs.values().map(Run::passed).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_machine_that_stops_in_the_middle_is_not_complete_and_its_run_has_failed() {
        let outcome = Outcome::parse(&format!("{REPORT}begins 2\r\n| test d ... ok\r\n"));
        assert!(!outcome.is_complete);
        let last = outcome.runs.get(&2).cloned().unwrap_or_default();
        assert_eq!((last.passed(), last.count()), (false, (1, 1)));
    }
}
