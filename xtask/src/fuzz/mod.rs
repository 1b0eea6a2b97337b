//! `cargo xtask fuzz`: each target for a while, and what came of it in a table.
//!
//! Inputs that reach something new are kept below target/fuzz, from one run to the next. The committed corpora in tests/fuzz
//! are read too, and written only where that is asked for.

mod folders;
mod report;
mod target;

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::setup;
use crate::workspace::{cargo, run};
use report::{Report, table};
use target::Target;

/// What becomes of the committed corpora.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corpora {
    StayAsTheyAre,
    /// They become the fewest inputs that reach every edge that any known one reaches.
    Minimised,
}

/// Runs the targets of these names, all where there are none, each for so long. A finding is an error.
pub fn fuzz(names: &[String], time: Duration, corpora: Corpora) -> Result<()> {
    let targets = chosen(names)?;
    setup::for_fuzzing()?;
    run(&mut target::build())?;
    run(cargo()
        .args(["run", "--quiet", "--package", "knock-tests", "--example", "fuzz_seeds"])
        .arg(folders::kept()))?;
    let mut reports: Vec<Report> = Vec::new();
    for target in targets {
        if !time.is_zero() {
            reports.push(target.fuzz(time)?);
        }
        if corpora == Corpora::Minimised {
            target.minimise()?;
        }
    }
    println!("{}", table(&reports));
    let findings: Vec<&str> = reports.iter().filter_map(|report| report.finding.as_deref()).collect();
    ensure!(
        findings.is_empty(),
        "found:\n    {}\nkeep it as tests/fuzz/fixtures/TARGET/WHAT-IS-WRONG, where `cargo test -p knock-tests --test fuzz` runs it",
        findings.join("\n    ")
    );
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Target>> {
    let named = |name: &String| match Target::ALL.iter().find(|target| target.name == *name) {
        Some(target) => Ok(target),
        None => {
            let known: Vec<&str> = Target::ALL.iter().map(|target| target.name).collect();
            bail!("there is no target {name:?}; there are {}", known.join(", "))
        }
    };
    if names.is_empty() { Ok(Target::ALL.iter().collect()) } else { names.iter().map(named).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_their_names() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            chosen(&names).map(|targets| targets.iter().map(|target| target.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), Target::ALL.len());
        assert_eq!(names(&["journal", "packet"]).unwrap(), ["journal", "packet"]);
        let error = names(&["packets"]).unwrap_err().to_string();
        assert!(error.starts_with("there is no target \"packets\"; there are packet, matcher, "), "{error}");
    }
}
