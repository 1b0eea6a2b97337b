//! What keeps strangers from a server's ssh: ours, and what people use today, each as its documentation has it.

mod commanding;
mod fwknop;
mod knock_ctl;
mod knockd;
mod recipes;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use knock_tests::lab::{Lab, Machine, Process};
use procfs::WithCurrentSystemInfo as _;
use tempfile::TempDir;

pub use commanding::Commanding;
pub use fwknop::{PORT as SPA_PORT, Spa};
pub use knock_ctl::KnockCtl;
pub use recipes::NFT as RECIPE_NFT;

/// The door's secret, where it is one of ports.
pub const SEQUENCE: [u16; 3] = [7000, 8000, 9000];
pub const SSH: u16 = 22;

/// More than any of them takes to begin.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everybody is let in.
    Nothing,
    KnockCtl,
    Knockd,
    Nft,
    Recent,
    Fwknop,
}

/// In place on the server of a lab, until it is dropped.
pub struct Defence {
    kind: Kind,
    daemon: Option<Process>,
    log: Option<PathBuf>,
    spa: Option<Spa>,
    attached: Option<KnockCtl>,
    _folder: TempDir,
}

/// What a daemon has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// With those that it has run.
    pub cpu: Duration,
    /// The most so far.
    pub resident_bytes: u64,
    pub log_bytes: u64,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no filter",
            Self::KnockCtl => "knock-ctl",
            Self::Knockd => "knockd",
            Self::Nft => "nftables recipe",
            Self::Recent => "iptables recent recipe",
            Self::Fwknop => "fwknopd",
        }
    }
}

impl Defence {
    /// # Errors
    /// When it can't be put in place, as when it is not installed.
    pub fn start(kind: Kind, lab: &Lab) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("knock-bench-").tempdir()?;
        let mut defence = Self { kind, daemon: None, log: None, spa: None, attached: None, _folder: folder };
        let folder = defence._folder.path().to_owned();
        match kind {
            Kind::Nothing => {}
            Kind::KnockCtl => {
                defence.attached = Some(KnockCtl::attach(lab, &folder, &knock_ctl::door(&folder))?);
                defence.log = Some(knock_ctl::log(&folder));
            }
            Kind::Knockd => {
                restore(lab, "iptables-restore", recipes::CLOSED)?;
                defence.daemon = Some(knockd::start(lab, &folder)?);
                defence.log = Some(knockd::log(&folder));
            }
            Kind::Nft => restore(lab, "nft", recipes::NFT)?,
            Kind::Recent => restore(lab, "iptables-restore", recipes::RECENT)?,
            Kind::Fwknop => {
                restore(lab, "iptables-restore", recipes::CLOSED)?;
                let (daemon, spa) = fwknop::start(lab, &folder)?;
                defence.daemon = Some(daemon);
                defence.log = Some(fwknop::log(&folder));
                defence.spa = Some(spa);
            }
        }
        Ok(defence)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who opens the door with one packet.
    pub fn spa(&self) -> Option<&Spa> {
        self.spa.as_ref()
    }

    /// `None`: there is no daemon.
    ///
    /// # Errors
    /// When it has ended.
    pub fn usage(&self) -> Result<Option<Usage>> {
        let controller = self.attached.as_ref().and_then(KnockCtl::id);
        let Some(id) = self.daemon.as_ref().map(Process::id).or(controller) else { return Ok(None) };
        let process = procfs::process::Process::new(i32::try_from(id)?)?;
        let stat = process.stat().context("the daemon has ended")?;
        let children = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
        let ticks = stat.utime + stat.stime + children;
        let cpu = Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64);
        let status = process.status()?;
        let resident = status.vmhwm.unwrap_or_else(|| stat.rss_bytes().get() / 1024);
        let log = self.log.as_ref().and_then(|path| fs::metadata(path).ok());
        let log_bytes = log.map_or(0, |metadata| metadata.len());
        Ok(Some(Usage { cpu, resident_bytes: resident * 1024, log_bytes }))
    }
}

/// Has the server's kernel follow a set of rules: of `nft`, or of `iptables-restore`.
///
/// # Errors
/// When it refuses them, or the program is not installed.
pub fn restore(lab: &Lab, program: &str, rules: &str) -> Result<()> {
    let mut command = lab.namespace(Machine::Server).command(program);
    if program == "nft" {
        command.args(["--file", "-"]);
    }
    feed(&mut command, rules)
}

fn feed(command: &mut Command, input: &str) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
