//! What is built here to run in the machine: the program, its tests, and the machine's first process.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::workspace::{cargo, line, run, target};

/// A kind of machine that Debian has kernels for and that is emulated here.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Paths of what was built, without debug information.
pub struct Programs {
    pub first_process: PathBuf,
    pub knock_ctl: PathBuf,
    /// In the order of the names asked for.
    pub tests: Vec<PathBuf>,
}

impl Programs {
    /// `tests`: names of test targets of the package knock-tests.
    pub fn build(tests: &[&str], folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let mut guest = cargo();
        guest.args(["build", "--package", "knock-guest", "--target", TARGET]);
        // It has no libraries to find.
        run(guest.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static"))?;
        run(cargo().args(["build", "--package", "knock-ctl"]))?;
        let stripped = |program: &Path, name: &str| {
            let smaller = folder.join(name);
            run(Command::new("strip").arg("-o").args([&smaller, program]))?;
            anyhow::Ok(smaller)
        };
        let built = target().join(TARGET).join("debug/knock-guest");
        Ok(Self {
            first_process: stripped(&built, "first-process")?,
            knock_ctl: stripped(&target().join("debug/knock-ctl"), "knock-ctl")?,
            tests: build_tests(tests)?
                .iter()
                .zip(tests)
                .map(|(path, name)| stripped(path, name))
                .collect::<Result<_>>()?,
        })
    }
}

impl Programs {
    /// The one that was built of this target.
    pub fn test(&self, name: &str) -> Option<&Path> {
        self.tests.iter().find(|path| path.file_name().is_some_and(|file| file == name)).map(PathBuf::as_path)
    }
}

/// Builds them; returns where cargo has put them.
fn build_tests(names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--package", "knock-tests", "--message-format=json-render-diagnostics"]);
    for name in names {
        build.args(["--test", name]);
    }
    let line = line(&build);
    eprintln!("+ {line}");
    let output =
        build.stderr(Stdio::inherit()).output().with_context(|| format!("`{line}` did not start"))?;
    ensure!(output.status.success(), "`{line}` failed: {}", output.status);
    let messages: Vec<Value> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    names
        .iter()
        .map(|name| {
            let executable = messages.iter().find(|message| message["target"]["name"] == *name);
            let path = executable.and_then(|message| message["executable"].as_str());
            path.map(PathBuf::from).with_context(|| format!("cargo has built no test {name}"))
        })
        .collect()
}

/// Libraries that a program is linked with, as the dynamic linker finds them, with that itself.
pub fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("`ldd` did not start")?;
    // It fails for what is linked with none.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| {
        let line = line.trim();
        let found = line.split_once(" => ").map_or(line, |(_, found)| found);
        found.starts_with('/').then(|| found.split(' ').next().map(PathBuf::from)).flatten()
    };
    Ok(text.lines().filter_map(path).collect())
}

/// Where a program lies on PATH or where a system keeps root's programs.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    // What the system has is what the tests know.
    system
        .into_iter()
        .chain(std::env::split_paths(OsStr::new(&path)))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
