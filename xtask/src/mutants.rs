//! `cargo xtask mutants`: whether the tests notice when the core is wrong.

use std::ffi::OsString;

use anyhow::Result;

use crate::bpf_toolchain::CHOICE_VARIABLE;
use crate::setup;
use crate::workspace::{cargo, run, target};

/// Tests of what the core decides, which build without the kernel program and need no root.
const TESTS: [&str; 6] =
    ["full_tables", "core_against_model", "connections", "scanners", "sequences", "fuzz"];

/// Makes each change to the core that cargo-mutants knows and .cargo/mutants.toml does not explain, and runs those tests; one
/// that goes unnoticed is an error. `arguments` are cargo-mutants' own.
pub fn make(arguments: &[OsString]) -> Result<()> {
    setup::for_mutants()?;
    let tests: Vec<&str> =
        ["--lib"].into_iter().chain(TESTS.iter().flat_map(|name| ["--test", name])).collect();
    let without_kernel = (CHOICE_VARIABLE, "none");
    // cargo-mutants would look at the changed package's tests alone before it begins.
    run(cargo()
        .args(["test", "--package", "knock-common", "--package", "knock-tests"])
        .args(&tests)
        .envs([without_kernel]))?;
    let mut command = cargo();
    command
        .args(["mutants", "--package", "knock-common", "--test-package", "knock-common,knock-tests"])
        .args(["--baseline", "skip", "--timeout", "120", "--output"])
        .arg(target())
        .args(arguments)
        .arg("--")
        .args(&tests)
        .envs([without_kernel])
        // Linking, again and again, is what takes the time.
        .envs(["DEV", "TEST"].map(|profile| (format!("CARGO_PROFILE_{profile}_DEBUG"), "0")));
    run(&mut command)
}
