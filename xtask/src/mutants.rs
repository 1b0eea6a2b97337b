//! `cargo xtask mutants`: whether the tests notice when the core is wrong.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bpf_toolchain::CHOICE_VARIABLE;
use crate::setup;
use crate::workspace::{cargo, line, run, target};

/// Packages, and which of their tests: what builds and runs soonest comes first, and what it leaves is seen to by the next.
/// All of it builds without the kernel program and needs no root.
const STAGES: [(&str, &[&str]); 3] = [
    ("knock-common", &["--lib", "--test=full_tables", "--test=packets"]),
    ("knock-tests", &["--test=core_against_model"]),
    (
        "knock-tests",
        &[
            "--test=completions",
            "--test=connections",
            "--test=crowds",
            "--test=fuzz",
            "--test=outgoing",
            "--test=port_grants",
            "--test=probes",
            "--test=scan_windows",
            "--test=sequences",
        ],
    ),
];

/// What cargo-mutants exits with where changes went unnoticed, or tests on without end.
const SOME_LEFT: [Option<i32>; 2] = [Some(2), Some(3)];

/// Leaves out what earlier runs have caught.
const ITERATE: &str = "--iterate";

/// Makes each change to the core that cargo-mutants knows and .cargo/mutants.toml does not explain, and runs the tests of what
/// the core decides; one that goes unnoticed is an error. `arguments` are cargo-mutants' own.
pub fn make(arguments: &[OsString]) -> Result<()> {
    setup::for_mutants()?;
    for (package, tests) in STAGES {
        // cargo-mutants would look at the changed package's tests alone before it begins.
        run(cargo().args(["test", "--package", package]).args(tests).envs(environment()))?;
    }
    let mut arguments = arguments.to_vec();
    let mut some_left = true;
    for (package, tests) in STAGES {
        some_left = some_left && leaves_some(mutants(package, tests).args(&arguments))?;
        if !arguments.iter().any(|argument| argument == ITERATE) {
            arguments.push(ITERATE.into());
        }
    }
    ensure!(!some_left, "changes of the core went unnoticed: see above");
    Ok(())
}

fn mutants(package: &str, tests: &[&str]) -> Command {
    let mut command = cargo();
    command
        .args(["mutants", "--package", "knock-common", "--test-package", package])
        .args(["--baseline", "skip", "--timeout", "120", "--output"])
        .arg(target())
        // For what is built as well as for what is run.
        .args(tests.iter().map(|selection| format!("--cargo-arg={selection}")))
        .envs(environment());
    command
}

/// Whether there are changes that the tests did not notice.
fn leaves_some(command: &mut Command) -> Result<bool> {
    let text = line(command);
    eprintln!("+ {text}");
    let status = command.status().with_context(|| format!("`{text}` did not start"))?;
    let left = SOME_LEFT.contains(&status.code());
    ensure!(status.success() || left, "`{text}` failed: {status}");
    Ok(left)
}

/// Linking, again and again, is what takes the time, and debug information most of that.
fn environment() -> [(&'static str, &'static str); 3] {
    [(CHOICE_VARIABLE, "none"), ("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_PROFILE_TEST_DEBUG", "0")]
}
