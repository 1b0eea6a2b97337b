//! Ours.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use knock_tests::lab::{INTERFACE, Lab, Machine, Process};

use super::{PATIENCE, text};

/// The filter on the server of a lab, with its controller and all that it leaves on the machine; these go when it is dropped,
/// the filter with the lab.
pub struct KnockCtl {
    /// Taken when dropped, so that it leaves nothing anew.
    controller: Option<Process>,
    inode: u64,
}

/// The door that all defences have, and everything else closed.
pub fn door(folder: &Path) -> String {
    format!(
        "[filter]\npolicy = \"drop\"\n[doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n[log]\nfile = {:?}\n",
        log(folder)
    )
}

pub fn log(folder: &Path) -> PathBuf {
    folder.join("knock.log")
}

impl KnockCtl {
    /// Attaches natively to the server's interface, under a configuration; returns once the controller runs.
    ///
    /// # Errors
    /// When it does not come up, with what it says.
    pub fn attach(lab: &Lab, folder: &Path, config: &str) -> Result<Self> {
        Self::attach_in(lab, folder, config, "native")
    }

    /// As [`KnockCtl::attach`], in a mode by its name.
    ///
    /// # Errors
    /// As [`KnockCtl::attach`].
    pub fn attach_in(lab: &Lab, folder: &Path, config: &str, mode: &str) -> Result<Self> {
        let path = folder.join("knock.toml");
        fs::write(&path, config)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let inode = fs::metadata(lab.namespace(Machine::Server).path())?.ino();
        let mut attached = Self { controller: None, inode };
        // The kernel gives an inode again, with what somebody may have left under its number.
        attached.forget();
        let program = program()?;
        let words = [text(&program)?, "attach", INTERFACE, "--config", text(&path)?, "--mode", mode];
        let controller = attached.controller.insert(lab.spawn_in(Machine::Server, &words)?);
        controller.expect_line("watching;", PATIENCE)?;
        Ok(attached)
    }

    /// Of the controller's process.
    pub fn id(&self) -> Option<u32> {
        self.controller.as_ref().map(Process::id)
    }

    fn forget(&self) {
        // What is not there need not go.
        for folder in ["/run/knock", "/sys/fs/bpf/knock"] {
            let _ = fs::remove_dir_all(format!("{folder}/net-{}", self.inode));
        }
        for file in ["journal-net-", "one-time-net-"] {
            let path = PathBuf::from(format!("/var/lib/knock/{file}{}", self.inode));
            let _ = fs::remove_file(path.with_extension("lock"));
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for KnockCtl {
    fn drop(&mut self) {
        drop(self.controller.take());
        self.forget();
    }
}

/// Built beside the bench.
///
/// # Errors
/// When it was not.
pub fn program() -> Result<PathBuf> {
    let bench = std::env::current_exe()?;
    let program = bench.parent().context("the bench is nowhere")?.join("knock-ctl");
    ensure!(program.exists(), "{} is not there: build it first", program.display());
    Ok(program)
}
