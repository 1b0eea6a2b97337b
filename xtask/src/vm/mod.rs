//! `cargo xtask vm`: boots Debian's kernels in emulated machines and runs tests there.

mod apt;
mod archive;
mod kernel;
mod machine;
mod modules;
mod outcome;
mod plan;
mod programs;
mod qemu;
mod root;
mod suite;
mod trial;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum as _};

use crate::setup;
use crate::workspace::target;
use kernel::Kernel;
use plan::{Extent, Plan};
use programs::Programs;
use qemu::{Machine, Qemu};
use suite::Suite;
use trial::Trial;

#[derive(Args)]
pub struct Selection {
    /// Without any: all
    #[arg(value_enum)]
    kernels: Vec<Suite>,
    /// Only whether it loads, attaches, and a door opens
    #[arg(long, conflicts_with = "all")]
    quick: bool,
    /// All tests that need a kernel; this takes hours for each
    #[arg(long)]
    all: bool,
}

impl Selection {
    fn suites(&self) -> &[Suite] {
        if self.kernels.is_empty() { Suite::value_variants() } else { &self.kernels }
    }

    fn extent(&self) -> Extent {
        match (self.quick, self.all) {
            (true, _) => Extent::Quick,
            (_, true) => Extent::All,
            _ => Extent::Usual,
        }
    }
}

/// Shows all kernels in a table at the end; an error when one has failed.
pub fn run(selection: &Selection) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the kernels that are fetched are for x86-64");
    setup::everything()?;
    let folder = target().join("vm");
    let qemu = Qemu::find(&folder.join("qemu"))?;
    let programs = Programs::build(selection.extent().files(), &folder.join("programs"))?;
    let all = tests_in_namespaces(&programs)?;
    let mut trials = Vec::new();
    for &suite in selection.suites() {
        let tried = try_kernel(suite, selection.extent(), &qemu, &programs, &all, &folder);
        trials.push(tried.unwrap_or_else(|error| Trial::impossible(suite, &error)));
    }
    for trial in &trials {
        trial.print_details();
    }
    println!("{}", trial::table(&trials));
    let failed = trials.iter().filter(|trial| !trial.passed()).count();
    ensure!(failed == 0, "{failed} of {} kernels failed", trials.len());
    Ok(())
}

fn try_kernel(
    suite: Suite,
    extent: Extent,
    qemu: &Qemu,
    programs: &Programs,
    all: &[String],
    folder: &Path,
) -> Result<Trial> {
    let kernel = Kernel::fetch(suite, &folder.join("kernels"))?;
    let plan = Plan::new(extent, kernel.release.parse()?, all);
    let modules = modules::in_order(&kernel.modules, modules::WANTED)?;
    let steps: Vec<_> = plan.tests.iter().map(plan::Tests::step).collect();
    let machines = folder.join("machines").join(suite.name());
    fs::create_dir_all(&machines).with_context(|| machines.display().to_string())?;
    let [file_system, console, report] =
        ["file-system.cpio", "console.log", "report.log"].map(|name| machines.join(name));
    root::write(&file_system, programs, &modules, &steps)?;
    eprintln!(
        "{suite}: Linux {}, {} steps; its console is in {}",
        kernel.release,
        steps.len(),
        console.display()
    );
    let machine =
        Machine { kernel: &kernel.image, file_system: &file_system, console: &console, report: &report };
    let power_off = machine::run(qemu, &machine, &plan.tests);
    fs::remove_file(&file_system)?;
    Trial::new(suite, kernel.release, plan, power_off?, &report, &console)
}

/// What the tests' own list says.
fn tests_in_namespaces(programs: &Programs) -> Result<Vec<String>> {
    let tests = programs.test(plan::NAMESPACES).context("the tests in namespaces are not built")?;
    let output = Command::new(tests).arg("--list").output().with_context(|| tests.display().to_string())?;
    let listing = String::from_utf8(output.stdout)?;
    Ok(listing.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}
