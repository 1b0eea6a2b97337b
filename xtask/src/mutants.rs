//! `cargo xtask mutants`: whether the tests notice when the core is wrong.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bpf_toolchain::CHOICE_VARIABLE;
use crate::setup;
use crate::workspace::{cargo, line, run, target};

/// The core's own tests, which build and run in a second.
const OWN_TESTS: [&str; 1] = ["full_tables"];

/// All tests of what the core decides that build without the kernel program and need no root.
const ALL_TESTS: [&str; 6] =
    ["full_tables", "core_against_model", "connections", "scanners", "sequences", "fuzz"];

/// Leaves out what an earlier run has caught.
const ITERATE: &str = "--iterate";

/// What cargo-mutants exits with where changes went unnoticed, or tests on without end.
const SOME_LEFT: [Option<i32>; 2] = [Some(2), Some(3)];

/// Makes each change to the core that cargo-mutants knows and .cargo/mutants.toml does not explain, and runs first the core's
/// own tests, then for what those leave all tests of what it decides; one that goes unnoticed is an error. `arguments` are
/// cargo-mutants' own.
pub fn make(arguments: &[OsString]) -> Result<()> {
    setup::for_mutants()?;
    // cargo-mutants would look at the changed package's tests alone before it begins.
    let mut unchanged = cargo();
    unchanged.args(["test", "--package", "knock-common", "--package", "knock-tests"]);
    run(unchanged.args(selection(&ALL_TESTS)).envs(environment()))?;

    let mut quick = mutants("knock-common", &OWN_TESTS);
    quick.args(arguments);
    let text = line(&quick);
    eprintln!("+ {text}");
    let status = quick.status().with_context(|| format!("`{text}` did not start"))?;
    ensure!(status.success() || SOME_LEFT.contains(&status.code()), "`{text}` failed: {status}");
    let mut thorough = mutants("knock-common,knock-tests", &ALL_TESTS);
    run(thorough.args(arguments.iter().filter(|argument| *argument != ITERATE)).arg(ITERATE))
}

/// cargo-mutants with the tests of those packages that bear these names, and with the tests inside their libraries.
fn mutants(packages: &str, tests: &[&str]) -> Command {
    let mut command = cargo();
    command
        .args(["mutants", "--package", "knock-common", "--test-package", packages])
        .args(["--baseline", "skip", "--timeout", "120", "--output"])
        .arg(target())
        // For what it builds as well as for what it runs.
        .args(selection(tests).map(|argument| format!("--cargo-arg={argument}")))
        .envs(environment());
    command
}

fn selection<'a>(tests: &[&'a str]) -> impl Iterator<Item = &'a str> {
    ["--lib"].into_iter().chain(tests.iter().flat_map(|name| ["--test", name]))
}

/// Linking, again and again, is what takes the time, and debug information most of that.
fn environment() -> [(&'static str, &'static str); 3] {
    [(CHOICE_VARIABLE, "none"), ("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_PROFILE_TEST_DEBUG", "0")]
}
