//! Finds what turns knock-ebpf into an object for the kernel: a compiler that has, or can build, `core` for the
//! kernel's virtual machine, and bpf-linker.
//!
//! knock-ctl's build script includes this file, so that what builds the program and what installs the tools agree.
//! It therefore uses the standard library alone.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The kernel's virtual machine, little-endian.
pub const TARGET: &str = "bpfel-unknown-none";

/// Names the toolchain to use: `debian`, `nightly` or `none`; unset: whichever is found.
pub const CHOICE_VARIABLE: &str = "KNOCK_BPF_TOOLCHAIN";

/// Which toolchains may be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Any,
    Prebuilt,
    Nightly,
    /// As if none were installed.
    None,
}

impl Choice {
    /// What [`CHOICE_VARIABLE`] says; the error is a sentence for the user.
    pub fn from_environment() -> Result<Self, String> {
        match env::var_os(CHOICE_VARIABLE) {
            None => Ok(Self::Any),
            Some(value) => Self::parse(&value),
        }
    }

    fn parse(value: &OsStr) -> Result<Self, String> {
        match value.to_str() {
            Some("") => Ok(Self::Any),
            Some("debian") => Ok(Self::Prebuilt),
            Some("nightly") => Ok(Self::Nightly),
            Some("none") => Ok(Self::None),
            _ => Err(format!("{CHOICE_VARIABLE} is {value:?}; it may be debian, nightly or none")),
        }
    }
}

/// A compiler for [`TARGET`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// A rustc that comes with `core` for [`TARGET`], as Debian's rustc-web does with libstd-rust-web-dev-bpf.
    Prebuilt { rustc: PathBuf },
    /// rustup's nightly with the component rust-src, from which cargo builds `core` itself.
    Nightly,
}

impl Compiler {
    /// Looks at every rustc on PATH and at /usr/bin/rustc (rustup's hides it), then at rustup's nightly.
    pub fn find(choice: Choice) -> Option<Self> {
        let prebuilt = || find_prebuilt().map(|rustc| Self::Prebuilt { rustc });
        let nightly = || nightly_has_sources().then_some(Self::Nightly);
        match choice {
            Choice::Any => prebuilt().or_else(nightly),
            Choice::Prebuilt => prebuilt(),
            Choice::Nightly => nightly(),
            Choice::None => None,
        }
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prebuilt { rustc } => write!(f, "{}", rustc.display()),
            Self::Nightly => f.write_str("rustup's nightly with rust-src"),
        }
    }
}

/// bpf-linker on PATH or where `cargo install` puts it.
pub fn find_linker() -> Option<PathBuf> {
    let installed = home_folder("CARGO_HOME", ".cargo").map(|home| home.join("bin/bpf-linker"));
    on_path("bpf-linker").chain(installed).find(|path| path.is_file())
}

/// The folder that `variable` names, else `default` in the user's home.
pub fn home_folder(variable: &str, default: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(default)))
}

fn find_prebuilt() -> Option<PathBuf> {
    on_path("rustc").chain([PathBuf::from("/usr/bin/rustc")]).find(|rustc| has_prebuilt_core(rustc))
}

/// Whether this rustc's libraries for [`TARGET`] are installed.
fn has_prebuilt_core(rustc: &Path) -> bool {
    let Some(libraries) = answer(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]))
    else {
        return false;
    };
    let Ok(files) = Path::new(&libraries).read_dir() else { return false };
    files.flatten().any(|file| {
        file.file_name().to_str().is_some_and(|name| name.starts_with("libcore-") && name.ends_with(".rlib"))
    })
}

/// Whether rustup has a nightly with what cargo's `-Z build-std` looks for in its sysroot.
fn nightly_has_sources() -> bool {
    answer(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]))
        .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock").is_file())
}

/// What the command prints; `None` when it can't be run or fails.
fn answer(command: &mut Command) -> Option<String> {
    // Asking whether a toolchain is there must not make rustup download it.
    let output = command.env("RUSTUP_AUTO_INSTALL", "0").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn on_path(program: &'static str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(move |folder| folder.join(program)).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_names_choose_a_toolchain() {
        for (value, choice) in [
            ("", Some(Choice::Any)),
            ("debian", Some(Choice::Prebuilt)),
            ("nightly", Some(Choice::Nightly)),
            ("none", Some(Choice::None)),
            ("stable", None),
        ] {
            assert_eq!(Choice::parse(OsStr::new(value)).ok(), choice, "{value}");
        }
    }

    #[test]
    fn none_hides_every_compiler() {
        assert_eq!(Compiler::find(Choice::None), None);
    }

    #[test]
    fn what_is_no_compiler_has_no_core() {
        assert!(!has_prebuilt_core(Path::new("/nonexistent/rustc")));
        assert!(!has_prebuilt_core(Path::new("/bin/false")));
        assert!(!has_prebuilt_core(Path::new("/bin/echo")));
    }
}
