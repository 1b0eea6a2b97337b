//! The controller: puts rules in force, keeps watch, and runs commands. The filter works without it.

mod approval;
mod bring_up;
mod changes;
pub(crate) mod completions;
mod connections;
mod doors;
mod dropped;
mod following;
mod in_force;
mod interface_changes;
mod interfaces;
mod kernel;
mod last_good;
mod lockout;
mod metrics;
mod notice;
mod one_time;
mod openings;
mod perf;
mod protocols;
mod reload;
mod requests;
mod service_manager;
mod socket;
mod trace;
mod waiting;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::config::{self, ConfigErrors, Loaded, Mode};
use crate::logging::{self, Outputs};
use crate::runtime::RuntimeDirectory;

pub use notice::Notice;
pub use socket::{ReloadOptions, Report, Request, SocketError, ask, follow_events};

/// What `attach` was called with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Empty: those of the configuration.
    pub interfaces: Vec<String>,
    pub config: PathBuf,
    /// `None`: that of the configuration.
    pub mode: Option<Mode>,
    /// Enforce nothing, whatever the configuration says.
    pub audit: bool,
    /// Begin without interfaces that are not here yet; they are filtered as they come.
    pub await_interfaces: bool,
    /// Put the filter in the place of XDP programs of somebody else's.
    pub replace: bool,
    /// Log each packet's verdict.
    pub trace: bool,
    /// For how long the rules hold unless they are confirmed; `None`: for good.
    pub confirm: Option<Duration>,
    /// Also if somebody who is here now could not come again.
    pub yes: bool,
    /// Keep what is in force, and where the configuration is refused, begin with what was kept last.
    pub or_last_good: bool,
}

impl Options {
    /// Reads the configuration, over which the command line has its say.
    fn load(&self) -> Result<Loaded, ConfigErrors> {
        config::load(&self.config).map(|loaded| self.overruled(loaded))
    }

    fn overruled(&self, mut loaded: Loaded) -> Loaded {
        loaded.config.filter.enforce &= !self.audit;
        if let Some(mode) = self.mode {
            loaded.config.filter.mode = mode;
        }
        loaded
    }
}

/// Attaches the filter and stays as its controller, until it is told to end.
pub fn run(options: Options) -> Result<ExitCode> {
    let loaded = options.load_or_last_good()?;
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    bring_up::require_privilege()?;
    kernel::require_kernel()?;
    let names = interfaces::named(&options, &loaded.config.filter)?;
    logging::write_to(Outputs::open(&loaded.config.log)?);
    let attached = bring_up::bring_up(loaded, &names, &options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the controller's event loop")?;
    runtime.block_on(watch::watch(options, attached))
}

/// Takes the filter off without a controller. No names: everywhere.
pub fn detach_alone(names: &[String]) -> Result<Vec<String>> {
    use crate::datapath::{Maps, Pins, detach};

    let pins = Pins::of_this_namespace()?;
    if !pins.exist() {
        bail!("the filter is not attached in this network namespace");
    }
    let attached = pins.linked_interfaces();
    let mut taken_off = Vec::new();
    for index in interfaces::indices(names, &attached)? {
        detach(&pins, index)?;
        taken_off.push(interfaces::name_of(index));
    }
    if pins.linked_interfaces().is_empty() {
        match Maps::open(&pins) {
            Ok(maps) => one_time::settle_for_good(&maps),
            // Then all that was in the kernel counts as used at the next attach.
            Err(error) => log::warn!("{error}"),
        }
        pins.remove()?;
        RuntimeDirectory::of_this_namespace()?.clear();
    }
    Ok(taken_off)
}
