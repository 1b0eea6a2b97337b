//! One network namespace, by its name under `/var/run/netns`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::{panic, thread};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Deleted when dropped, with the processes that are left in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it, with its loopback interface up, and without duplicate address detection, router solicitations or other
    /// delays and noise.
    ///
    /// # Errors
    /// Without root, or when there is one of that name.
    pub fn new(name: String) -> Result<Self> {
        succeed(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.enter(|| {
            for (setting, value) in [
                ("all/accept_dad", "0"),
                ("default/accept_dad", "0"),
                ("default/dad_transmits", "0"),
                ("default/accept_ra", "0"),
                ("default/router_solicitations", "0"),
            ] {
                let path = format!("/proc/sys/net/ipv6/conf/{setting}");
                fs::write(&path, value).with_context(|| format!("writing {path}"))?;
            }
            anyhow::Ok(())
        })??;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from("/var/run/netns").join(&self.name)
    }

    /// A program inside. Unlike `ip netns exec` it leaves the mounts alone, so that /sys/fs/bpf stays visible.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut net = OsString::from("--net=");
        net.push(self.path());
        let mut command = Command::new("nsenter");
        command.arg(net).arg("--").arg(program);
        command
    }

    /// Runs ip(8) on the namespace, with `arguments` split at spaces.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub fn ip(&self, arguments: &str) -> Result<()> {
        succeed(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')))
    }

    /// Runs `action` in a thread that lives inside: sockets it opens belong there, also after it has ended.
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
                Ok(action())
            });
            inside.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
        })
    }

    fn end_processes(&self) {
        let Ok(listing) = Command::new("ip").args(["netns", "pids", &self.name]).output() else { return };
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        let own = Pid::this();
        let inside = listing.lines().filter_map(|line| line.trim().parse().ok()).map(Pid::from_raw);
        for process in inside.filter(|&process| process != own) {
            // It may have ended by itself meanwhile.
            let _ = kill(process, Signal::SIGKILL);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.end_processes();
        if let Err(error) = succeed(Command::new("ip").args(["netns", "delete", &self.name])) {
            eprintln!("{error:#}");
        }
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", errors.trim());
    Ok(())
}
