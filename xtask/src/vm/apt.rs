//! Debian packages of any suite, unpacked into a folder; nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::suite::Suite;
use crate::workspace::{line, run};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with lists of its own, of one suite alone, as if no package were installed.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Fetches the suite's list of packages into `folder`.
    pub fn of_suite(suite: Suite, folder: &Path) -> Result<Self> {
        ensure!(Path::new(KEYRING).exists(), "{KEYRING} is missing; install debian-archive-keyring");
        for needed in ["lists/partial", "cache/archives/partial"] {
            let needed = folder.join(needed);
            fs::create_dir_all(&needed).with_context(|| needed.display().to_string())?;
        }
        fs::write(folder.join("sources.list"), format!("deb [signed-by={KEYRING}] {}\n", suite.source()))?;
        fs::write(folder.join("status"), "")?;
        let apt = Self { folder: folder.to_owned() };
        run(apt.command("apt-get").args(["-qq", "update"]))?;
        Ok(apt)
    }

    /// The package with those that it depends on, directly or not, and that `is_wanted`, by name.
    pub fn closure(&self, package: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut found = vec![package.to_owned()];
        let mut looked_at = 0;
        while let Some(package) = found.get(looked_at).cloned() {
            looked_at += 1;
            let text = output(self.command("apt-cache").args(["depends", &package]))?;
            let dependencies = text.lines().filter_map(|line| line.trim_start().strip_prefix("Depends: "));
            for name in dependencies.filter(|name| is_wanted(name)) {
                if !found.iter().any(|known| known == name) {
                    found.push(name.to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Fetches the packages and unpacks them below `root`.
    pub fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        unpack(self.command("apt-get"), packages, root)
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let mut command = Command::new(program);
        for setting in [
            format!("Dir::Etc::SourceList={folder}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State::Lists={folder}/lists"),
            format!("Dir::State::status={folder}/status"),
            format!("Dir::Cache={folder}/cache"),
            "Acquire::Languages=none".to_owned(),
            // apt's own user may not enter the folders that lead here.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &setting]);
        }
        command
    }
}

/// A package of this machine's own sources with all that it needs and that is not installed, unpacked below `root`.
pub fn unpack_with_dependencies(package: &str, root: &Path) -> Result<()> {
    let mut simulation = Command::new("apt-get");
    simulation.args(["install", "--simulate", "--no-install-recommends", package]);
    let text = output(&mut simulation)?;
    let packages: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    unpack(Command::new("apt-get"), &packages, root)
}

fn unpack(mut apt: Command, packages: &[String], root: &Path) -> Result<()> {
    let archives = tempfile::tempdir()?;
    // apt's own user may not enter the folders that lead here.
    apt.args(["-o", "APT::Sandbox::User=root", "-qq", "download"]).args(packages);
    run(apt.current_dir(archives.path()))?;
    fs::create_dir_all(root).with_context(|| root.display().to_string())?;
    for archive in fs::read_dir(archives.path())? {
        run(Command::new("dpkg-deb").arg("--extract").arg(archive?.path()).arg(root))?;
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command.output().with_context(|| format!("`{line}` did not start"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{line}` failed: {}", errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}
