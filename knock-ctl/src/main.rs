//! `knock-ctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    knock_ctl::version::announce(knock_ctl::built_version!());
    #[cfg(feature = "controller")]
    return knock_ctl::cli::run();
    #[cfg(not(feature = "controller"))]
    return knock_ctl::client::run_alone();
}
