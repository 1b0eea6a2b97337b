//! The project's own tasks: `cargo xtask setup|build|package|test|demo|bench`.

mod bench;
mod bpf_toolchain;
mod build;
mod demo;
mod package;
mod setup;
mod test;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use package::Profile;

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
    /// Build a Debian package of it, with its service, manual pages and completions, below target/package
    Package {
        /// Look at what has come out: modes, scripts, pages, completions, the unit
        #[arg(long)]
        check: bool,
        /// With a program that is built quickly and runs slowly
        #[arg(long)]
        debug: bool,
    },
    /// Run all tests, after setup: as root, since a test that has to be skipped fails
    Test {
        /// For cargo test, as in `cargo xtask test -- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Show on this machine, in network namespaces, what knock-ctl does
    Demo,
    /// Measure what it costs and withstands, beside its peers: as root, in network namespaces, for some twenty minutes
    Bench {
        /// In under two minutes, from few repeats
        #[arg(long)]
        quick: bool,
        /// Only these sections, as in `--only cost,growth`
        #[arg(long)]
        only: Option<String>,
        /// Put tables and plots below docs/measurements too, and an excerpt into the README
        #[arg(long, conflicts_with_all = ["quick", "only"])]
        publish: bool,
    },
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
        Task::Package { check, debug } => package(check, debug),
        Task::Test { arguments } => test::all(&arguments),
        Task::Demo => demo::run(),
        Task::Bench { quick, only, publish } => bench::measure(quick, only.as_deref(), publish),
    }
}

fn package(check: bool, debug: bool) -> Result<()> {
    let profile = if debug { Profile::Debug } else { Profile::Release };
    let built = if check { package::build_and_check(profile) } else { package::build(profile) };
    built.map(|package| println!("{}", package.display()))
}
