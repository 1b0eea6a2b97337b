//! `knock-ctl reload`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use nix::unistd::geteuid;

use super::check::counted;
use super::confirm::ConfirmTime;
use super::output;
use crate::controller::{self, ReloadOptions, Request, SocketError};
use crate::runtime::RuntimeDirectory;

/// Has the controller take its configuration anew; a bad one changes nothing
///
/// Grants, connections and attempts on unchanged doors go on. Grants of doors that the configuration has no more end. SIGHUP does
/// the same.
#[derive(Args, Debug)]
pub struct ReloadArguments {
    /// Only tell which doors would be added, removed and changed
    #[arg(long)]
    dry_run: bool,

    /// Undo it after this time, unless `knock-ctl confirm` keeps it
    #[arg(long, value_name = "TIME")]
    confirm: Option<ConfirmTime>,

    /// Also if somebody who is here now could not come again
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(arguments: &ReloadArguments) -> Result<ExitCode> {
    if !geteuid().is_root() {
        bail!("reloading needs root; run `sudo knock-ctl reload`");
    }
    let directory = RuntimeDirectory::of_this_namespace()?;
    let request = Request::Reload(ReloadOptions {
        dry_run: arguments.dry_run,
        confirm: arguments.confirm.map(ConfirmTime::duration),
        yes: arguments.yes,
    });
    let report = match controller::ask(&directory, &request) {
        Ok(report) => report,
        Err(SocketError::NoController) => bail!(
            "no controller runs in this network namespace, so there is none to take the configuration anew; \
             `knock-ctl attach` starts one, which takes over a filter that is on"
        ),
        Err(SocketError::Rejected(errors)) => {
            for error in &errors {
                eprintln!("{error}");
            }
            bail!("{} found; the rules in force are as they were", counted(errors.len(), "error"));
        }
        Err(error) => return Err(error.into()),
    };
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    let lines: String = report.lines.iter().map(|line| format!("{line}\n")).collect();
    output::print(&lines)?;
    Ok(ExitCode::SUCCESS)
}
