//! Tests that need root say so.

use std::io::{self, Write};
use std::path::PathBuf;

/// Whether this process may make namespaces and load programs. If not, it says loudly that a test is skipped; a test
/// that is told `false` returns.
///
/// # Panics
/// Instead of skipping, where the environment has `KNOCK_REQUIRE_PRIVILEGED`.
pub fn privileged() -> bool {
    if !nix::unistd::geteuid().is_root() { skipped_for("root") } else { with_kernel_program() }
}

/// Whether knock-ctl holds the kernel program; else as [`privileged`].
///
/// # Panics
/// As [`privileged`].
pub fn with_kernel_program() -> bool {
    knock_ctl::datapath::is_embedded() || skipped_for("a knock-ctl built with its kernel program")
}

/// Whether a program can be run that a test needs; else as [`privileged`].
///
/// # Panics
/// As [`privileged`].
pub fn equipped_with(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join(program).is_file()) || skipped_for(program)
}

/// Two Debian packages, that of the older version first, from the environment's `KNOCK_PACKAGES`; if it has none, this
/// says as loudly that a test is skipped. `cargo xtask test` builds them when it runs all tests.
pub fn packages() -> Option<[PathBuf; 2]> {
    let packages = std::env::var_os("KNOCK_PACKAGES");
    let packages = packages.and_then(|list| std::env::split_paths(&list).collect::<Vec<_>>().try_into().ok());
    if packages.is_none() {
        tell_skipped("two packages in KNOCK_PACKAGES");
    }
    packages
}

fn skipped_for(lacking: &str) -> bool {
    let required = std::env::var_os("KNOCK_REQUIRE_PRIVILEGED").is_some();
    assert!(!required, "this test needs {lacking}, and KNOCK_REQUIRE_PRIVILEGED says that it must run");
    tell_skipped(lacking);
    false
}

fn tell_skipped(lacking: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // The test harness hides what the print macros write.
    let _ = writeln!(io::stderr(), "SKIPPED: needs {lacking}: {test}");
}
