//! Daemons that run a command when a door opens, and do nothing else then.

use std::fs;

use anyhow::Result;
use knock_tests::lab::{Lab, Process};
use tempfile::TempDir;

use super::{KnockCtl, knockd};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commanding {
    KnockCtl,
    Knockd,
}

/// Runs until it is dropped.
pub struct Running {
    _knockd: Option<Process>,
    _attached: Option<KnockCtl>,
    _folder: TempDir,
}

impl Commanding {
    pub fn name(self) -> &'static str {
        match self {
            Self::KnockCtl => "knock-ctl",
            Self::Knockd => "knockd",
        }
    }

    /// On the lab's server.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(self, lab: &Lab, command: &[String]) -> Result<Running> {
        let folder = tempfile::Builder::new().prefix("knock-bench-").tempdir()?;
        let (attached, knockd) = match self {
            Self::KnockCtl => {
                let config = format!(
                    "[filter]\npolicy = \"drop\"\n\
                     [doors.gate]\nsequence = [7000, 8000, 9000]\nstart_command = {command:?}\n"
                );
                (Some(KnockCtl::attach(lab, folder.path(), &config)?), None)
            }
            Self::Knockd => {
                let config = format!(
                    "[options]\n logfile = {}\n[gate]\n sequence = 7000,8000,9000\n seq_timeout = 10\n \
                     tcpflags = syn\n command = {}\n",
                    knockd::log(folder.path()).display(),
                    command.join(" ")
                );
                let path = folder.path().join("knockd.conf");
                fs::write(&path, config)?;
                (None, Some(knockd::run(lab, folder.path(), &path)?))
            }
        };
        Ok(Running { _knockd: knockd, _attached: attached, _folder: folder })
    }
}
