//! `cargo xtask package`: a Debian package, laid out here and packed by dpkg-deb.

mod check;
mod control;
mod layout;
mod version;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup;
use crate::workspace::{root, run, target};
use layout::Layout;
pub use version::Version;

/// How the program in it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Release,
    /// Quicker to build, and slower.
    Debug,
}

impl Profile {
    pub fn of(debug: bool) -> Self {
        if debug { Self::Debug } else { Self::Release }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Release => &["--release"],
            Self::Debug => &[],
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Debug => "debug",
        }
    }

    /// What dpkg-deb compresses with: a package that is only looked at need not be small.
    fn compression(self) -> &'static str {
        match self {
            Self::Release => "-Zxz",
            Self::Debug => "-Znone",
        }
    }
}

/// Builds the package; returns where it lies.
pub fn build(profile: Profile, version: &Version) -> Result<PathBuf> {
    setup::bpf_tools()?;
    let folder = target().join("package").join(profile.folder());
    let [tree, documents] = ["tree", "documents"].map(|name| folder.join(name));
    for stale in [&tree, &documents] {
        if stale.exists() {
            fs::remove_dir_all(stale).with_context(|| stale.display().to_string())?;
        }
    }
    run(version.cargo().args(["build", "--package", "knock-ctl"]).args(profile.arguments()))?;
    run(version
        .cargo()
        .args(["run", "--package", "knock-ctl", "--example", "documents"])
        .args(profile.arguments())
        .arg("--")
        .arg(&documents))?;
    let program = folder.join("knock-ctl");
    run(Command::new("strip")
        .arg("-o")
        .args([&program, &target().join(profile.folder()).join("knock-ctl")]))?;
    compress(&documents.join("man"))?;

    let layout = Layout::new(root(), &program, &documents)?;
    layout.write(&tree)?;
    let architecture = architecture()?;
    let binary = fs::read(&program).with_context(|| program.display().to_string())?;
    layout::write(
        &tree.join("DEBIAN/control"),
        control::control(version, &architecture, &binary, layout.size()?),
        0o644,
    )?;
    layout::write(&tree.join("DEBIAN/md5sums"), control::md5sums(&tree, &layout)?, 0o644)?;

    let package = folder.join(format!("knock-ctl_{}_{architecture}.deb", version));
    let mut pack = Command::new("dpkg-deb");
    run(pack.args(["--root-owner-group", profile.compression(), "--build"]).args([&tree, &package]))?;
    Ok(package)
}

/// As [`build`], and looks at what has come out of it.
pub fn build_and_check(profile: Profile, version: &Version) -> Result<PathBuf> {
    let package = build(profile, version)?;
    check::check(&package)?;
    Ok(package)
}

/// Manual pages are installed compressed, without a name or time that would make each build another.
fn compress(folder: &Path) -> Result<()> {
    let pages = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let pages = pages.map(|page| Ok(page?.path())).collect::<Result<Vec<_>>>()?;
    run(Command::new("gzip").args(["--best", "--no-name"]).args(pages))
}

/// As Debian names this machine's.
pub fn architecture() -> Result<String> {
    let output = Command::new("dpkg").arg("--print-architecture").output();
    let output = output.context("`dpkg --print-architecture` did not start; packages are built on Debian")?;
    if !output.status.success() {
        bail!("`dpkg --print-architecture` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
