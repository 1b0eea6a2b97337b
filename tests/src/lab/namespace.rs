//! One network namespace, by its name under `/var/run/netns`.

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::thread;

#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it, without duplicate address detection, router solicitations or other delays and noise.
    pub(super) fn new(name: String) -> Result<Self> {
        succeed(&["ip", "netns", "add", &name])?;
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
        Ok(namespace)
    }

    /// Where the kernel's firewall looks into bridged frames, it drops what lies about itself.
    pub(super) fn let_bridges_pass_everything(&self) -> Result<()> {
        self.enter(|| {
            for family in ["ip", "ip6", "arp"] {
                let path = format!("/proc/sys/net/bridge/bridge-nf-call-{family}tables");
                if Path::new(&path).exists() {
                    fs::write(&path, "0").with_context(|| format!("writing {path}"))?;
                }
            }
            Ok(())
        })?
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> String {
        format!("/var/run/netns/{}", self.name)
    }

    /// The words of a command that runs `words` inside. Unlike `ip netns exec` it leaves the mounts alone, so that
    /// /sys/fs/bpf stays visible.
    pub(super) fn command(&self, words: &[&str]) -> Vec<String> {
        let enter = ["nsenter".to_owned(), format!("--net={}", self.path()), "--".to_owned()];
        enter.into_iter().chain(words.iter().map(|&word| word.to_owned())).collect()
    }

    /// Runs `ip` on the namespace, with `arguments` split at spaces.
    pub(super) fn ip(&self, arguments: &str) -> Result<()> {
        let words: Vec<&str> = ["ip", "-n", &self.name].into_iter().chain(arguments.split(' ')).collect();
        succeed(&words)
    }

    pub(super) fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T> {
        let file = File::open(self.path()).with_context(|| format!("opening {}", self.path()))?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
                Ok(action())
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Ends every process that was started inside.
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
        if let Err(error) = succeed(&["ip", "netns", "del", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

pub(super) fn command<W: AsRef<str>>(words: &[W]) -> Command {
    let mut command = Command::new(words[0].as_ref());
    command.args(words[1..].iter().map(AsRef::as_ref));
    command
}

fn succeed(words: &[&str]) -> Result<()> {
    let output = command(words).output().with_context(|| format!("running {words:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", words.join(" "), errors.trim());
    Ok(())
}
