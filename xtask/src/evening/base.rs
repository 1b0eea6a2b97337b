//! The fresh Debian, as an archive that is made once.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::package::architecture;
use crate::workspace::{line, target};

/// What a server with knockd has beside the essential.
const PACKAGES: [&str; 5] = ["systemd-sysv", "openssh-server", "knockd", "iptables", "iproute2"];

/// Where the evening keeps its files.
pub fn folder() -> PathBuf {
    target().join("evening")
}

/// An archive of a system of this machine's release, from where this machine has its packages.
pub fn tarball() -> Result<PathBuf> {
    let sources = sources()?;
    let release = sources.split(' ').nth(2).context("a source of packages names no release")?;
    let path = folder().join(format!("{release}-{}.tar", PACKAGES.join("-")));
    if !path.exists() {
        eprintln!("{} is missing: it is made once, which takes some minutes", path.display());
        fs::create_dir_all(folder())?;
        let unfinished = path.with_extension("part");
        make(release, &sources, &unfinished)?;
        fs::rename(&unfinished, &path)?;
    }
    Ok(path)
}

/// In the one-line format of sources.list(5).
fn sources() -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"]);
    targets.args(["Created-By: Packages", "Origin: Debian"]);
    targets.arg(format!("Architecture: {}", architecture()?));
    let output = targets.output().with_context(|| format!("`{}` did not start", line(&targets)))?;
    let sources = String::from_utf8(output.stdout)?;
    if !output.status.success() || sources.is_empty() {
        bail!("this machine has no lists of Debian's packages; run as root\n    apt-get update");
    }
    Ok(sources)
}

fn make(release: &str, sources: &str, path: &Path) -> Result<()> {
    let mut make = Command::new("mmdebstrap");
    make.args(["--variant=minbase", "--format=tar", &format!("--include={}", PACKAGES.join(","))]);
    make.arg(release).arg(path).arg("-").stdin(Stdio::piped());
    let text = line(&make);
    eprintln!("+ {text}");
    let mut process = make.spawn().with_context(|| format!("`{text}` did not start"))?;
    process.stdin.take().context("mmdebstrap without input")?.write_all(sources.as_bytes())?;
    let status = process.wait()?;
    ensure!(status.success(), "`{text}` failed: {status}");
    Ok(())
}
