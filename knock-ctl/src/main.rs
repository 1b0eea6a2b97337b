//! `knock-ctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "controller")]
    return knock_ctl::cli::run();
    #[cfg(not(feature = "controller"))]
    return knock_ctl::client::run_alone();
}
