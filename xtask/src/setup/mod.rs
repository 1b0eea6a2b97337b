//! `cargo xtask setup`: installs what is missing, and nothing that is there.

mod bpffs;
mod debian;
mod programs;

use std::process::Command;

use anyhow::{Result, bail};

use crate::bpf_toolchain::{CHOICE_VARIABLE, Choice, Compiler, find_linker};
use crate::workspace::{cargo, has_program, line, run};
use programs::Need;
pub use programs::names as test_programs;

/// The version that the kernel program is built and tested with.
const LINKER: [&str; 5] = ["install", "bpf-linker", "--version", "0.10.3", "--locked"];

/// The version that the fuzz targets are built and run with.
const FUZZER: [&str; 5] = ["install", "cargo-fuzz", "--version", "0.13.2", "--locked"];

/// The version that coverage is measured with.
const COVERAGE: [&str; 5] = ["install", "cargo-llvm-cov", "--version", "0.9.1", "--locked"];

/// The version that changes the core.
const MUTANTS: [&str; 5] = ["install", "cargo-mutants", "--version", "27.1.0", "--locked"];

/// For building, testing and the demo.
pub fn everything() -> Result<()> {
    with_programs(programs::missing())
}

/// For building and the demo. Where packages can't be installed, it does without ssh.
pub fn for_demo() -> Result<()> {
    with_programs(programs::missing_for_demo(debian::is_here()))
}

/// For building and the evening.
pub fn for_evening() -> Result<()> {
    with_programs(programs::missing_for_evening())
}

/// For the bench. Where packages can't be installed, peers that are not here are named, and not measured.
pub fn for_bench() -> Result<()> {
    let peers = programs::missing_for_bench();
    if debian::is_here() {
        return with_programs(peers);
    }
    for peer in peers {
        eprintln!("{} is missing: {}", peer.package, peer.why);
    }
    with_programs(Vec::new())
}

fn with_programs(programs: Vec<Need>) -> Result<()> {
    let mut packages = missing_compiler()?;
    packages.extend(programs);
    install(&packages)?;
    bpffs::mount()
}

/// For building only.
pub fn bpf_tools() -> Result<()> {
    install(&missing_compiler()?)
}

/// For fuzzing only.
pub fn for_fuzzing() -> Result<()> {
    if !has_program("c++") {
        eprintln!(
            "{} is missing: {}",
            programs::LIBFUZZER_COMPILER.package,
            programs::LIBFUZZER_COMPILER.why
        );
        debian::install([programs::LIBFUZZER_COMPILER.package].into_iter())?;
    }
    if !cargo().args(["fuzz", "--version"]).output()?.status.success() {
        eprintln!("cargo-fuzz is missing: it builds and runs the fuzz targets");
        run(cargo().args(FUZZER))?;
    }
    Ok(())
}

/// For telling which lines the tests reach, besides what they need.
pub fn for_coverage() -> Result<()> {
    if !cargo().args(["llvm-cov", "--version"]).output()?.status.success() {
        eprintln!("cargo-llvm-cov is missing: it counts what programs run through");
        run(cargo().args(COVERAGE))?;
    }
    run(Command::new("rustup").args(["component", "add", "llvm-tools"]))
}

/// For telling whether the tests notice a core that is wrong.
pub fn for_mutants() -> Result<()> {
    if !cargo().args(["mutants", "--version"]).output()?.status.success() {
        eprintln!("cargo-mutants is missing: it changes the core and runs the tests");
        run(cargo().args(MUTANTS))?;
    }
    Ok(())
}

/// Installs `packages`, and the linker if it is missing.
fn install(packages: &[Need]) -> Result<()> {
    if !packages.is_empty() {
        for need in packages {
            eprintln!("{} is missing: {}", need.package, need.why);
        }
        debian::install(packages.iter().map(|need| need.package))?;
    }
    if find_linker().is_none() && choice()? != Choice::None {
        eprintln!("bpf-linker is missing: it links the kernel program");
        run(cargo().args(LINKER))?;
    }
    Ok(())
}

/// What would give this machine a compiler for the kernel program; empty where it has one.
fn missing_compiler() -> Result<Vec<Need>> {
    let choice = choice()?;
    if choice == Choice::None {
        eprintln!("{CHOICE_VARIABLE}=none: no compiler for the kernel program is looked for");
        return Ok(Vec::new());
    }
    if Compiler::find(choice).is_some() {
        return Ok(Vec::new());
    }
    if choice == Choice::Nightly || !debian::offers(programs::COMPILER.map(|need| need.package)) {
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", "nightly", "--component", "rust-src"]);
        bail!("there is no compiler for the kernel program; get one with\n    {}", line(&rustup));
    }
    Ok(programs::COMPILER.to_vec())
}

fn choice() -> Result<Choice> {
    Choice::from_environment().map_err(anyhow::Error::msg)
}
