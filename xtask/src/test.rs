//! `cargo xtask test`.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;

use crate::package::{self, Profile, Version};
use crate::setup;
use crate::workspace::{cargo, has_program, run};

/// Tests that can't run here fail instead of being skipped.
const REQUIRE_PRIVILEGED: &str = "KNOCK_REQUIRE_PRIVILEGED";

/// Tests wait for packets and clocks about as much as they compute: by default one more runs than there are CPUs.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// The kernel program alone is left out: it has no tests of its own, and is no program for this host.
const PACKAGES: [&str; 3] = ["--workspace", "--exclude", "knock-ebpf"];

/// Two packages, the older first, for the tests that upgrade.
const PACKAGES_TO_UPGRADE: &str = "KNOCK_PACKAGES";

/// `arguments` go to `cargo test`; without any, the package is looked at too, and upgraded.
pub fn all(arguments: &[OsString]) -> Result<()> {
    setup::everything()?;
    let packages = if arguments.is_empty() { packages()? } else { None };
    run_by(&cargo, arguments, packages)
}

/// As [`all`], by another cargo, and without packages.
pub fn all_by(cargo: &dyn Fn() -> Command) -> Result<()> {
    setup::everything()?;
    run_by(cargo, &[], None)
}

fn run_by(cargo: &dyn Fn() -> Command, arguments: &[OsString], packages: Option<[PathBuf; 2]>) -> Result<()> {
    // The tests in namespaces run the program itself, which `cargo test` alone does not build.
    run(cargo().arg("build").args(PACKAGES))?;
    let mut test = cargo();
    test.arg("test").args(PACKAGES).args(arguments).env(REQUIRE_PRIVILEGED, "1");
    if let Some(packages) = packages {
        test.env(PACKAGES_TO_UPGRADE, env::join_paths(packages)?);
    }
    if env::var_os(TEST_THREADS).is_none() {
        test.env(TEST_THREADS, (available_parallelism()?.get() + 1).to_string());
    }
    run(&mut test)
}

/// That of this workspace, which is checked, and one of the next version. The program that the tests run is this workspace's again
/// afterwards.
fn packages() -> Result<Option<[PathBuf; 2]>> {
    if !has_program("dpkg-deb") {
        eprintln!("there is no dpkg-deb here: the Debian package is neither looked at nor upgraded");
        return Ok(None);
    }
    let newer = package::build(Profile::Debug, &Version::next())?;
    let older = package::build_and_check(Profile::Debug, &Version::default())?;
    Ok(Some([older, newer]))
}
