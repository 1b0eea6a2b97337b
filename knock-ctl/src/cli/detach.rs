//! `knock-ctl detach`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use nix::unistd::geteuid;

use crate::controller::{self, Request, SocketError};
use crate::runtime::RuntimeDirectory;

/// Takes the filter off and removes what it left pinned
#[derive(Args, Debug)]
pub struct DetachArguments {
    /// Without any: everywhere, and the controller ends
    #[arg(value_name = "IFACE")]
    interfaces: Vec<String>,
}

pub fn run(arguments: DetachArguments) -> Result<ExitCode> {
    if !geteuid().is_root() {
        bail!("detaching needs root; run `sudo knock-ctl detach`");
    }
    let directory = RuntimeDirectory::of_this_namespace()?;
    let request = Request::Detach { interfaces: arguments.interfaces.clone() };
    let taken_off = match controller::ask(&directory, &request) {
        Err(SocketError::NoController) => controller::detach_alone(&arguments.interfaces)?,
        answer => answer?.lines,
    };
    for name in taken_off {
        println!("{name}: the filter is off");
    }
    Ok(ExitCode::SUCCESS)
}
