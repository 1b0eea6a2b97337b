//! `cargo xtask test`.

use std::ffi::OsString;

use anyhow::Result;

use crate::package::{self, Profile};
use crate::setup;
use crate::workspace::{cargo, has_program, run};

/// Tests that can't run here fail instead of being skipped.
const REQUIRE_PRIVILEGED: &str = "KNOCK_REQUIRE_PRIVILEGED";

/// The kernel program alone is left out: it has no tests of its own, and is no program for this host.
const PACKAGES: [&str; 3] = ["--workspace", "--exclude", "knock-ebpf"];

/// `arguments` go to `cargo test`; without any, the package is looked at too.
pub fn all(arguments: &[OsString]) -> Result<()> {
    setup::everything()?;
    // The tests in namespaces run the program itself, which `cargo test` alone does not build.
    run(cargo().arg("build").args(PACKAGES))?;
    run(cargo().arg("test").args(PACKAGES).args(arguments).env(REQUIRE_PRIVILEGED, "1"))?;
    if arguments.is_empty() {
        if has_program("dpkg-deb") {
            package::build_and_check(Profile::Debug)?;
        } else {
            eprintln!("there is no dpkg-deb here: the Debian package is not looked at");
        }
    }
    Ok(())
}
