//! Tests that need root say so.

use std::io::{self, Write};

/// Whether this process may make namespaces and load programs. If not, it says loudly that a test is skipped; a test
/// that is told `false` returns.
///
/// # Panics
/// Instead of skipping, where the environment has `KNOCK_REQUIRE_PRIVILEGED`.
pub fn privileged() -> bool {
    let lacking = if !nix::unistd::geteuid().is_root() {
        "root"
    } else if !knock_ctl::datapath::is_embedded() {
        "a knock-ctl built with its kernel program"
    } else {
        return true;
    };
    let required = std::env::var_os("KNOCK_REQUIRE_PRIVILEGED").is_some();
    assert!(!required, "this test needs {lacking}, and KNOCK_REQUIRE_PRIVILEGED says that it must run");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // The test harness hides what the print macros write.
    let _ = writeln!(io::stderr(), "SKIPPED: needs {lacking}: {test}");
    false
}
