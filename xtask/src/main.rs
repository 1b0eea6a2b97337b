//! The project's own tasks: `cargo xtask setup|build|test|demo`.

mod bpf_toolchain;
mod build;
mod demo;
mod setup;
mod test;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The project's own tasks")]
struct CommandLine {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building, testing and the demo need; what is there is left alone
    Setup,
    /// Build target/release/knock-ctl, after installing what that needs
    Build,
    /// Run all tests, after setup: as root, since a test that has to be skipped fails
    Test {
        /// For cargo test, as in `cargo xtask test -- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Show on this machine, in network namespaces, what knock-ctl does
    Demo,
}

fn main() -> ExitCode {
    match run(CommandLine::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup => setup::everything(),
        Task::Build => build::release().map(|program| println!("{}", program.display())),
        Task::Test { arguments } => test::all(&arguments),
        Task::Demo => demo::run(),
    }
}
