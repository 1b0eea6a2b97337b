//! A kernel that was tried, and how it is shown.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Error, Result};
use comfy_table::{Table, presets};

use super::machine::PowerOff;
use super::outcome::{Outcome, Run};
use super::plan::{GENERIC, LOADS, NATIVE, Plan};
use super::suite::Suite;

/// Lines of a log that tell enough of its end.
const LAST_LINES: usize = 30;

/// Programs, as the test names them whose output has what they cost the verifier.
const PROGRAMS: [&str; 3] = ["knock", "knock_frags", "knock_egress"];

pub struct Trial {
    suite: Suite,
    release: String,
    plan: Plan,
    outcome: Outcome,
    /// Why the kernel has failed as a whole.
    problem: Option<String>,
    console: String,
}

impl Trial {
    /// What the machine's logs say.
    pub fn new(
        suite: Suite,
        release: String,
        plan: Plan,
        power_off: PowerOff,
        report: &Path,
        console: &Path,
    ) -> Result<Self> {
        let read = |path: &Path| {
            let log = fs::read(path).with_context(|| path.display().to_string())?;
            anyhow::Ok(String::from_utf8_lossy(&log).into_owned())
        };
        let outcome = Outcome::parse(&read(report)?);
        let problem = problem(&outcome, power_off, &plan);
        Ok(Self { suite, release, plan, outcome, problem, console: read(console)? })
    }

    /// A kernel that no machine was started with.
    pub fn impossible(suite: Suite, error: &Error) -> Self {
        Self {
            suite,
            release: "-".to_owned(),
            plan: Plan { tests: Vec::new(), skipped: Vec::new() },
            outcome: Outcome::default(),
            problem: Some(format!("{error:#}")),
            console: String::new(),
        }
    }

    pub fn passed(&self) -> bool {
        self.problem.is_none() && self.outcome.runs.values().all(Run::passed)
    }

    /// What has failed and what was left out, each with its reason.
    pub fn print_details(&self) {
        for (number, run) in self.outcome.runs.iter().filter(|(_, run)| !run.passed()) {
            let name = self.plan.tests.get(*number).map(ToString::to_string).unwrap_or_default();
            let end = run.end.map_or_else(|| "never ended".to_owned(), |end| end.to_string());
            println!("{}: {name}: {end}\n{}", self.suite, last_lines(run.said.iter().map(String::as_str)));
        }
        if let Some(problem) = &self.problem {
            println!("{}: {problem}\n{}", self.suite, last_lines(self.console.lines()));
        }
        for (test, reason) in &self.plan.skipped {
            println!("{}: skipped: {test}: {reason}", self.suite);
        }
    }

    fn row(&self) -> Vec<String> {
        let (passed, failed) = self
            .outcome
            .runs
            .values()
            .map(Run::count)
            .fold((0, 0), |(passed, failed), (more_passed, more_failed)| {
                (passed + more_passed, failed + more_failed)
            });
        let mut row =
            vec![self.suite.to_string(), self.release.clone(), yes_or_no(self.outcome.booted.is_some())];
        row.extend([LOADS, NATIVE, GENERIC].map(|test| self.has_passed(test).map_or("-".into(), yes_or_no)));
        row.extend([passed, failed, self.plan.skipped.len()].map(|count| count.to_string()));
        row.extend(PROGRAMS.map(|program| self.verified(program).unwrap_or("-").to_owned()));
        row.push(if self.passed() { "passed" } else { "FAILED" }.to_owned());
        row
    }

    fn has_passed(&self, test: &str) -> Option<bool> {
        self.outcome.runs.values().find_map(|run| run.has_passed(test))
    }

    /// Instructions that the verifier looked at; kernels before 5.16 don't tell.
    fn verified(&self, program: &str) -> Option<&str> {
        let mut lines = self.outcome.runs.values().flat_map(|run| &run.said);
        lines.find_map(|line| line.strip_prefix("verified ")?.strip_prefix(program)?.strip_prefix(' '))
    }
}

/// All trials, a line each.
pub fn table(trials: &[Trial]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let mut header =
        vec!["suite", "kernel", "boots", "loads", "native", "generic", "passed", "failed", "skipped"];
    header.extend(PROGRAMS);
    header.push("in all");
    table.set_header(header);
    table.add_rows(trials.iter().map(Trial::row));
    table
}

fn problem(outcome: &Outcome, power_off: PowerOff, plan: &Plan) -> Option<String> {
    if let Some(why) = &outcome.failure {
        return Some(format!("the machine could not go on: {why}"));
    }
    match (power_off, &outcome.booted) {
        (PowerOff::Hung, _) => Some("the machine hung; its console ended with".into()),
        (_, None) => Some("the kernel did not come up; its console ended with".into()),
        _ if !outcome.is_complete || outcome.runs.len() != plan.tests.len() => {
            Some("the machine ended before its work was done; its console ended with".into())
        }
        _ => None,
    }
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "NO" }.to_owned()
}

fn last_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.collect();
    let first = lines.len().saturating_sub(LAST_LINES);
    lines[first..].iter().map(|line| format!("    {}\n", line.trim_end())).collect()
}
