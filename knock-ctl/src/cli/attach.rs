//! `knock-ctl attach`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::confirm::ConfirmTime;
use crate::config::Mode;
use crate::controller::{self, Options};

/// Attaches the filter and stays as its controller; the filter outlives it
#[derive(Args, Debug)]
pub struct AttachArguments {
    /// Interfaces, or "default" for that of the default route; without any, those of the configuration
    #[arg(value_name = "IFACE")]
    interfaces: Vec<String>,

    #[arg(long, value_name = "F", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,

    /// Where packets meet the filter: in the driver, in the network stack, or in the driver if it can
    #[arg(long, value_name = "M")]
    mode: Option<ModeArgument>,

    /// Drop nothing, and count what would be dropped
    #[arg(long)]
    audit: bool,

    /// Take the place of an XDP program of somebody else's
    #[arg(long)]
    replace: bool,

    /// Undo it after this time, unless `knock-ctl confirm` keeps it
    #[arg(long, value_name = "TIME")]
    confirm: Option<ConfirmTime>,

    /// Also if somebody who is here now could not come again
    #[arg(long)]
    yes: bool,

    /// Log what happens to every packet
    #[arg(long)]
    trace: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArgument {
    Auto,
    Native,
    Generic,
}

impl From<ModeArgument> for Mode {
    fn from(mode: ModeArgument) -> Self {
        match mode {
            ModeArgument::Auto => Self::Auto,
            ModeArgument::Native => Self::Native,
            ModeArgument::Generic => Self::Generic,
        }
    }
}

pub fn run(arguments: AttachArguments) -> Result<ExitCode> {
    controller::run(Options {
        interfaces: arguments.interfaces,
        config: arguments.config,
        mode: arguments.mode.map(Mode::from),
        audit: arguments.audit,
        replace: arguments.replace,
        trace: arguments.trace,
        yes: arguments.yes,
        confirm: arguments.confirm.map(ConfirmTime::duration),
    })
}
