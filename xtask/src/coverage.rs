//! `cargo xtask coverage`: which lines of the host-side code the tests reach.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{cargo, run, target};
use crate::{setup, test};

/// What the tests and the tasks are made of is no subject of its own.
const LEFT_OUT: &str = "(^|/)(tests|xtask)/";

/// Where programs put their counts. With `%c` they count in the file itself, which a program that is killed leaves behind
/// (clang's source-based code coverage, "continuous mode").
const PROFILES: &str = "LLVM_PROFILE_FILE";
/// What that mode wants from the compiler.
const COUNTS_IN_FILES: &str = "-Cllvm-args=-runtime-counter-relocation";

/// Runs all tests, and the controllers that they start, as they are built for being counted; the table and the pages lie below
/// target/coverage.
pub fn measure() -> Result<()> {
    setup::for_coverage()?;
    let target = target().join("coverage");
    let built = target.join("build");
    fs::create_dir_all(&built)?;
    // Programs that the tests run as somebody else leave their counts there too.
    fs::set_permissions(&built, Permissions::from_mode(0o1777))?;
    let environment = environment(&built)?;
    let counted = || {
        let mut command = cargo();
        command.envs(environment.iter().cloned());
        command
    };
    run(counted().args(["llvm-cov", "clean", "--profraw-only", "--workspace"]))?;
    test::all_by(&counted)?;
    let report = ["llvm-cov", "report", "--ignore-filename-regex", LEFT_OUT];
    run(counted().args(report).arg("--html").arg("--output-dir").arg(&target))?;
    run(counted().args(report).args(["--summary-only"]))
}

/// What has programs count, and where they put it.
fn environment(built: &Path) -> Result<Vec<(String, String)>> {
    let output = cargo()
        .args(["llvm-cov", "show-env"])
        .env("CARGO_TARGET_DIR", built)
        .output()
        .context("cargo llvm-cov")?;
    if !output.status.success() {
        bail!("cargo llvm-cov show-env: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut environment: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
        .collect();
    let (_, profiles) = environment
        .iter_mut()
        .find(|(name, _)| name == PROFILES)
        .with_context(|| format!("cargo llvm-cov show-env tells no {PROFILES}"))?;
    *profiles = profiles.replace(".profraw", "%c.profraw");
    environment.push(("RUSTFLAGS".into(), COUNTS_IN_FILES.into()));
    environment.push(("CARGO_TARGET_DIR".into(), built.to_str().context("a path that is no text")?.into()));
    Ok(environment)
}
