//! The project's own tasks: `cargo xtask setup|build|package|test|coverage|mutants|soak|fuzz|bench|demo|evening|vm`.

mod bench;
mod bpf_toolchain;
mod build;
mod coverage;
mod demo;
mod evening;
mod fuzz;
mod mutants;
mod package;
mod setup;
mod soak;
mod story;
mod test;
mod vm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fuzz::Corpora;
use package::{Profile, Version};

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
        /// Of another version than this workspace's, to try upgrades
        #[arg(long, value_name = "VERSION")]
        version: Option<Version>,
    },
    /// Run all tests, after setup: as root, since a test that has to be skipped fails
    Test {
        /// For cargo test, as in `cargo xtask test -- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run the filter for minutes under mixed traffic, kills and reloads, as root, and look for what should not happen
    #[command(disable_help_flag = true)]
    Soak {
        /// As in `cargo xtask soak --minutes 5`; `--help` tells all
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Try arbitrary bytes on what reads bytes, after installing what that needs; a finding fails
    Fuzz {
        /// Which targets, one after the other; all unless said
        targets: Vec<String>,
        /// For how long each; 0: not at all
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Make the committed corpora the fewest inputs that reach as much as all known ones
        #[arg(long)]
        minimise: bool,
    },
    /// Tell which lines the tests reach, after installing what that needs: as root, and as long as they take
    Coverage,
    /// Change the core in a thousand ways and look whether tests notice, after installing what that needs: for hours
    #[command(disable_help_flag = true)]
    Mutants {
        /// As in `cargo xtask mutants -j4 --iterate`; `--help` tells all
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Show on this machine, in network namespaces, what knock-ctl does
    Demo,
    /// Run tests under other kernels, in emulated machines
    Vm(vm::Selection),
    /// Play a knockd user's evening on a fresh Debian: install the package, import knockd.conf, err, correct, knock, look
    Evening {
        /// With a program that is built quickly and runs slowly
        #[arg(long)]
        debug: bool,
    },
    /// Measure what it costs and withstands, beside its peers: as root, in network namespaces, for some twenty minutes
    Bench {
        /// In under two minutes, from few repeats
        #[arg(long)]
        quick: bool,
        /// Only these sections, as in `--only cost,growth`
        #[arg(long)]
        only: Option<String>,
        /// Put tables and plots below tests/bench/measurements too, and an excerpt into the README
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
        Task::Package { check, debug, version } => package(check, debug, version.unwrap_or_default()),
        Task::Test { arguments } => test::all(&arguments),
        Task::Soak { arguments } => soak::run_for(&arguments),
        Task::Fuzz { targets, seconds, minimise } => {
            let corpora = if minimise { Corpora::Minimised } else { Corpora::StayAsTheyAre };
            fuzz::fuzz(&targets, Duration::from_secs(seconds), corpora)
        }
        Task::Coverage => coverage::measure(),
        Task::Mutants { arguments } => mutants::make(&arguments),
        Task::Demo => demo::run(),
        Task::Vm(selection) => vm::run(&selection),
        Task::Evening { debug } => evening::run(Profile::of(debug)),
        Task::Bench { quick, only, publish } => bench::measure(quick, only.as_deref(), publish),
    }
}

fn package(check: bool, debug: bool, version: Version) -> Result<()> {
    let profile = Profile::of(debug);
    let built =
        if check { package::build_and_check(profile, &version) } else { package::build(profile, &version) };
    built.map(|package| println!("{}", package.display()))
}
