//! Builds the kernel program, so that `knock-ctl` carries it: `knock.o`, and `knock-trace.o` that logs every packet.
//!
//! The cfg `knock_bpf` is set when both lie in OUT_DIR. Without a toolchain for the kernel's virtual machine a debug
//! build goes on without them, so that the tests that need no kernel run anywhere; a release build fails.

#[path = "../xtask/src/bpf_toolchain.rs"]
mod bpf_toolchain;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use bpf_toolchain::{CHOICE_VARIABLE, Choice, Compiler, TARGET, find_linker, home_folder};

const PACKAGE: &str = "knock-ebpf";

/// The newest instruction set that every supported kernel runs: v3 is Linux 5.1, v4 would be 6.6.
const TARGET_CPU: &str = "v3";

/// The files this script makes in OUT_DIR, each with the feature of knock-ebpf that it is built with.
const OBJECTS: [(&str, Option<&str>); 2] = [("knock.o", None), ("knock-trace.o", Some("trace"))];

fn main() -> ExitCode {
    println!("cargo::rustc-check-cfg=cfg(knock_bpf)");
    // The client alone has no use for the kernel program.
    if env::var_os("CARGO_FEATURE_CONTROLLER").is_none() {
        println!("cargo::rerun-if-changed=build.rs");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let workspace = workspace()?;
    rebuild_when_sources_change(&workspace);
    let choice = Choice::from_environment()?;
    match (Compiler::find(choice), find_linker()) {
        (Some(compiler), Some(linker)) => {
            let build = NestedBuild { workspace, compiler, linker, target: variable("OUT_DIR")?.into() };
            for (object, feature) in OBJECTS {
                build.make(object, feature)?;
            }
            println!("cargo::rustc-cfg=knock_bpf");
            Ok(())
        }
        (compiler, _) => {
            let message = missing(compiler.is_some());
            if variable("PROFILE")? == "release" {
                return Err(message);
            }
            println!("cargo::warning={message}");
            rebuild_when_tools_are_installed();
            Ok(())
        }
    }
}

fn missing(compiler_found: bool) -> String {
    let what = if compiler_found { "bpf-linker" } else { "a compiler for the kernel's virtual machine" };
    format!("knock-ctl is built without its kernel program: {what} is missing. `cargo xtask setup` gets it")
}

/// The build of knock-ebpf by a cargo of its own.
struct NestedBuild {
    workspace: PathBuf,
    compiler: Compiler,
    linker: PathBuf,
    /// OUT_DIR: the objects land here, and the nested cargo's own target directory.
    target: PathBuf,
}

impl NestedBuild {
    fn make(&self, object: &str, feature: Option<&str>) -> Result<(), String> {
        let target_dir = self.target.join("bpf");
        let mut command = self.cargo()?;
        command.current_dir(&self.workspace);
        command.args(["build", "--release", "--locked", "--package", PACKAGE, "--target", TARGET]);
        command.arg("--target-dir").arg(&target_dir);
        command.args(feature.iter().flat_map(|feature| ["--features", feature]));

        let status = command.status().map_err(|error| format!("{command:?} did not start: {error}"))?;
        if !status.success() {
            return Err(format!("building {PACKAGE} for {TARGET} with {} failed: {status}", self.compiler));
        }
        let built = target_dir.join(TARGET).join("release").join(PACKAGE);
        fs::copy(&built, self.target.join(object))
            .map_err(|error| format!("copying {} failed: {error}", built.display()))?;
        Ok(())
    }

    /// A cargo that uses the compiler found, and nothing that was said to the outer one.
    fn cargo(&self) -> Result<Command, String> {
        let mut command = match &self.compiler {
            Compiler::Prebuilt { .. } => Command::new(variable("CARGO")?),
            Compiler::Nightly => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", "nightly", "cargo"]);
                rustup
            }
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_outer_build)) {
            command.env_remove(name);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags()?);
        match &self.compiler {
            // aya-ebpf turns on an unstable feature.
            Compiler::Prebuilt { rustc } => command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1"),
            Compiler::Nightly => command.args(["-Z", "build-std=core"]),
        };
        Ok(command)
    }

    /// In cargo's encoding, 0x1f between flags.
    fn rustflags(&self) -> Result<OsString, String> {
        let architecture = variable("CARGO_CFG_TARGET_ARCH")?;
        let mut flags = OsString::from("-Clinker=");
        flags.push(&self.linker);
        flags.push(format!("\x1f-Ctarget-cpu={TARGET_CPU}"));
        // The maps are described in BTF, which the linker makes from debug information.
        flags.push("\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf");
        // It would let loops end by falling through to their beginnings, which Linux 6.1 refuses ("back-edge").
        flags.push("\x1f-Clink-arg=--llvm-args=-disable-block-placement");
        flags.push(format!("\x1f--cfg=bpf_target_arch=\"{architecture}\""));
        Ok(flags)
    }
}

/// Whether a variable speaks of the build that this script is part of (its compiler, wrappers such as clippy's, flags,
/// profile, package), not of how cargo reaches its registry, its jobs or the terminal.
fn is_of_outer_build(name: &str) -> bool {
    const KEPT: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    (name.starts_with("CARGO")
        || name.starts_with("RUSTC")
        || name.starts_with("RUSTDOC")
        || name == "RUSTFLAGS")
        && !KEPT.iter().any(|prefix| name.starts_with(prefix))
}

fn rebuild_when_sources_change(workspace: &Path) {
    println!("cargo::rerun-if-env-changed={CHOICE_VARIABLE}");
    for path in ["Cargo.toml", "Cargo.lock", "knock-ebpf", "knock-common", "xtask/src/bpf_toolchain.rs"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
}

/// Watches what apt-get, `cargo install` and rustup write when they install something.
fn rebuild_when_tools_are_installed() {
    let mut records = vec![PathBuf::from("/var/lib/dpkg/status")];
    records.extend(home_folder("CARGO_HOME", ".cargo").map(|home| home.join("bin")));
    let toolchains =
        home_folder("RUSTUP_HOME", ".rustup").and_then(|home| home.join("toolchains").read_dir().ok());
    records.extend(
        toolchains.into_iter().flatten().flatten().map(|entry| entry.path().join("lib/rustlib/components")),
    );
    // Cargo takes a path that isn't there for one that has changed, at every build.
    for record in records.iter().filter(|record| record.exists()) {
        println!("cargo::rerun-if-changed={}", record.display());
    }
}

fn workspace() -> Result<PathBuf, String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    package.parent().map(Path::to_owned).ok_or_else(|| format!("{} has no parent folder", package.display()))
}

/// A variable that cargo sets for build scripts.
fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
