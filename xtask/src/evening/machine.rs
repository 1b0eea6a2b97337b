//! A fresh Debian that runs: with a network namespace, processes and mounts of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use knock_lab::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::base;
use crate::story::{Background, Interrupt, ask};
use crate::workspace::run;

const ENTER: &str = include_str!("enter.sh");
const BOOT: &str = include_str!("boot.sh");
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// What lies below its root before it runs. Removed when dropped.
pub struct Disk(TempDir);

impl Disk {
    /// As it comes out of the archive.
    pub fn unpack(archive: &Path) -> Result<Self> {
        let disk = tempfile::Builder::new().prefix("root-").tempdir_in(base::folder())?;
        run(Command::new("tar")
            .arg("--directory")
            .arg(disk.path())
            .arg("--extract")
            .arg("--file")
            .arg(archive))?;
        Ok(Self(disk))
    }

    /// Writes a file, `path` from the root without a slash before it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.0.path().join(path);
        let in_path = || path.display().to_string();
        fs::create_dir_all(path.parent().unwrap_or(&path)).with_context(in_path)?;
        fs::write(&path, content).with_context(in_path)
    }

    /// Has a unit begin with the machine.
    pub fn enable(&self, unit: &str) -> Result<()> {
        let wants = self.0.path().join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        let name = Path::new(unit).file_name().context("a unit without a name")?;
        symlink(unit, wants.join(name)).with_context(|| format!("enabling {unit}"))
    }
}

/// Ended with all that runs on it when dropped.
pub struct Machine {
    /// unshare(1), whose one child is the machine's first process.
    process: Background,
    _group: ControlGroup,
    _disk: Disk,
}

impl Machine {
    /// Starts it in a network namespace; returns once all of its services have begun.
    pub fn boot(disk: Disk, network: &Namespace, interrupt: &Interrupt) -> Result<Self> {
        let group = ControlGroup(network.name().to_owned());
        let mut enter = network.command("unshare");
        enter.args(["--mount", "sh", "-euc", ENTER, "sh"]).arg(disk.0.path()).args([&group.0, BOOT]);
        let process = Background::start(enter.stdin(Stdio::null()))?;
        let mut machine = Self { process, _group: group, _disk: disk };
        interrupt.wait_for("the start of the fresh system's services", BOOT_LIMIT, || {
            if let Some(status) = machine.process.0.try_wait()? {
                bail!("the fresh system has ended: {status}");
            }
            Ok(machine.is_up(interrupt)?.then_some(()))
        })?;
        Ok(machine)
    }

    fn is_up(&self, interrupt: &Interrupt) -> Result<bool> {
        let Some(first) = self.first_process().filter(|&process| is_systemd(process)) else {
            return Ok(false);
        };
        let mut ask_it = Command::new("nsenter");
        ask_it.args(["--target", &first.to_string(), "--all", "systemctl", "is-system-running"]);
        let state = ask(ask_it.stderr(Stdio::null()), BOOT_LIMIT, interrupt)?.output;
        // Not every unit of every release can do its work in a container: those that matter are looked at by the scenario.
        Ok(["running", "degraded"].contains(&state.trim()))
    }

    fn first_process(&self) -> Option<Pid> {
        let outer = self.process.0.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        Some(Pid::from_raw(children.split_whitespace().next()?.parse().ok()?))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(first) = self.first_process() {
            // With it end all processes of its kind; unshare(1) waits for that. It may have ended by itself.
            let _ = kill(first, Signal::SIGKILL);
            let _ = self.process.0.wait();
        }
    }
}

fn is_systemd(process: Pid) -> bool {
    fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "systemd")
}

/// What the machine's processes are counted in, by its name below the root of the second hierarchy; enter.sh makes it.
struct ControlGroup(String);

impl Drop for ControlGroup {
    fn drop(&mut self) {
        const REMOVE: &str = "mount -t cgroup2 cgroup2 /mnt; [ ! -d \"/mnt/$1\" ] || find \"/mnt/$1\" -depth -type d -exec rmdir {} +";

        let mut remove = Command::new("unshare");
        remove.args(["--mount", "sh", "-euc", REMOVE, "sh", &self.0]);
        if !remove.status().is_ok_and(|status| status.success()) {
            eprintln!("the control group {} could not be removed", self.0);
        }
    }
}
