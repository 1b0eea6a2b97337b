//! `knock-ctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    knock_ctl::cli::run()
}
