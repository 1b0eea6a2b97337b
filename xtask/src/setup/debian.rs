//! Installs Debian packages, without letting them start services.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::workspace::{has_program, line, run};

/// Whether this system is Debian or made from it.
pub fn is_here() -> bool {
    has_program("apt-get")
}

/// Whether every one of the packages can be installed; the lists of packages are fetched first where that is possible.
pub fn offers<const N: usize>(packages: [&str; N]) -> bool {
    if !is_here() {
        return false;
    }
    let known = || packages.iter().all(|package| is_known(package));
    known() || (Uid::effective().is_root() && run(&mut update()).is_ok() && known())
}

/// Installs the packages as root; elsewhere the error says what to run.
pub fn install<'a>(packages: impl Iterator<Item = &'a str>) -> Result<()> {
    let packages: Vec<&str> = packages.collect();
    if !is_here() {
        bail!("this is no Debian; install what it has in place of these packages: {}", packages.join(" "));
    }
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    if !Uid::effective().is_root() {
        bail!("only root can install packages; run as root\n    {}\n    {}", line(&update()), line(&install));
    }
    run(&mut update())?;
    let _no_services = ServiceBan::impose().context("telling packages not to start their services")?;
    run(&mut install)
}

fn update() -> Command {
    let mut command = apt_get();
    command.arg("update");
    command
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

fn is_known(package: &str) -> bool {
    let mut show = Command::new("apt-cache");
    show.args(["show", package]).stdout(Stdio::null()).stderr(Stdio::null());
    show.status().is_ok_and(|status| status.success())
}

/// While it lives, package scripts start nothing: they ask this file first (invoke-rc.d(8)).
struct ServiceBan {
    imposed: bool,
}

impl ServiceBan {
    const PATH: &str = "/usr/sbin/policy-rc.d";

    /// A policy that the machine has already is left as it is.
    fn impose() -> io::Result<Self> {
        let created =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(Path::new(Self::PATH));
        match created {
            Ok(mut file) => {
                let ban = Self { imposed: true };
                // 101: the action is forbidden by policy.
                file.write_all(b"#!/bin/sh\nexit 101\n")?;
                Ok(ban)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self { imposed: false }),
            Err(error) => Err(error),
        }
    }
}

impl Drop for ServiceBan {
    fn drop(&mut self) {
        if self.imposed
            && let Err(error) = fs::remove_file(Self::PATH)
        {
            eprintln!("{} could not be removed: {error}", Self::PATH);
        }
    }
}
