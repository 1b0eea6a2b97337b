//! A network namespace: a host of the demo.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::workspace::line;

/// Deleted when dropped, with the processes that are left in it.
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub fn new(name: String) -> Result<Self> {
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program in this host. Not by `ip netns exec`, which hides the file system that programs are pinned in.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut net = std::ffi::OsString::from("--net=");
        net.push(self.path());
        let mut command = Command::new("nsenter");
        command.arg(net).arg(program);
        command
    }

    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-netns", &self.name], arguments].concat())
    }

    /// Runs `action` in this host; the sockets that it makes stay there.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(self.path())?;
        let in_namespace = || {
            setns(file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
            action()
        };
        thread::scope(|scope| scope.spawn(in_namespace).join())
            .map_err(|_| anyhow!("a thread in {} panicked", self.name))?
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/var/run/netns").join(&self.name)
    }

    fn end_processes(&self) -> Result<()> {
        let output = Command::new("ip").args(["netns", "pids", &self.name]).output()?;
        for id in String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()) {
            // An error means that it has ended meanwhile.
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = self.end_processes().and_then(|()| ip(&["netns", "delete", &self.name])) {
            eprintln!("cleaning up {}: {error:#}", self.name);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    let output = command.output().context("running ip")?;
    ensure!(
        output.status.success(),
        "`{}`: {}",
        line(&command),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
