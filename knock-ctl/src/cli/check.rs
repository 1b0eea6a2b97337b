//! `check`: what a configuration means, and what is wrong with it.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use knock_common::port::Port;

use super::output;
use crate::config::describe::describe;
use crate::config::{self, ConfigErrors, Diagnostic, Loaded, warn_listeners};
use crate::datapath::TableSizes;
use crate::interface::{self, InterfaceError, InterfaceName};
use crate::rules::{CompileError, PreviousStates, RuleSet, compile};
use crate::sockets::listeners;

/// Checks a configuration, and says what it means in words; needs no privilege
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// The configuration; "-": from stdin
    #[arg(default_value = super::DEFAULT_CONFIG)]
    file: PathBuf,

    /// Fail if there is a warning
    #[arg(long)]
    strict: bool,

    /// Ask nothing of this host: knock ports with a listener are not warned of, nor that it forwards for others
    #[arg(long)]
    offline: bool,
}

/// How messages call what comes from stdin.
const STDIN: &str = "stdin";

pub(super) fn run(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let loaded = match load(&arguments.file)? {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            bail!("{} found", counted(errors.diagnostics().len(), "error"));
        }
    };
    let cpus = available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    let memory = memory(&loaded, cpus).with_context(|| loaded.path.display().to_string())?;
    output::print(&describe(&loaded.config, memory))?;
    let mut warnings = loaded.warnings.clone();
    if !arguments.offline {
        match listeners() {
            Ok(ports) => warnings.extend(listener_warnings(&loaded, ports)),
            Err(error) => {
                eprintln!("note: whether something listens on a knock port was not looked at: {error}")
            }
        }
        match forwarding_warning(&loaded) {
            Ok(warning) => warnings.extend(warning),
            Err(error) => eprintln!("note: {error}"),
        }
    }
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    verdict(warnings.len(), arguments.strict)?;
    Ok(ExitCode::SUCCESS)
}

fn load(file: &Path) -> anyhow::Result<Result<Loaded, ConfigErrors>> {
    if file != Path::new("-") {
        return Ok(config::load(file));
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("cannot read a configuration from stdin")?;
    Ok(config::parse(&text, STDIN, Path::new("")))
}

/// Bytes of kernel memory that the configuration's tables take at most.
fn memory(loaded: &Loaded, cpus: u32) -> Result<u64, CompileError> {
    let limits = &loaded.config.limits;
    // This machine's own addresses change nothing about the size of any table.
    let rules = RuleSet::from_config(&loaded.config, &BTreeSet::new());
    let compiled = compile(&rules, &PreviousStates::new())?;
    Ok(TableSizes::new(limits.attempts, limits.flows, limits.grants, &compiled, cpus).memory(&compiled))
}

fn listener_warnings(loaded: &Loaded, listening: Vec<Port>) -> Vec<Diagnostic> {
    let listening: HashSet<Port> = listening.into_iter().collect();
    warn_listeners(loaded, &|port| listening.contains(&port))
}

/// `attach` refuses what is warned of here.
fn forwarding_warning(loaded: &Loaded) -> Result<Option<Diagnostic>, InterfaceError> {
    let filter = &loaded.config.filter;
    if !filter.closes_for_others() {
        return Ok(None);
    }
    // Those that are not here are of no account, whether they are yet to come or the file is for another host.
    let names: Vec<InterfaceName> = filter
        .interfaces
        .iter()
        .filter_map(|interface| match interface {
            config::Interface::Default => interface::default_route_interface().ok().flatten(),
            config::Interface::Named(name) => name.parse().ok(),
        })
        .collect();
    let facts: Vec<_> =
        names.iter().filter_map(|name| Some((name, interface::describe(name).ok()?))).collect();
    let forwarding = interface::forwarding(&facts)?;
    Ok(forwarding.map(|forwarding| config::closed_for_others(loaded, &forwarding)))
}

fn verdict(warnings: usize, strict: bool) -> anyhow::Result<()> {
    match warnings {
        1.. if strict => Err(anyhow!("{} found, and --strict lets none pass", counted(warnings, "warning"))),
        _ => Ok(()),
    }
}

pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[doors.ssh]\nsequence = [31207, \"5481/udp\", 60123]\nopens = [\"22/tcp\"]\n";

    #[test]
    fn warnings_fail_where_they_are_told_to() {
        assert!(verdict(0, true).is_ok());
        assert!(verdict(2, false).is_ok());
        let message = |warnings| verdict(warnings, true).unwrap_err().to_string();
        assert_eq!(message(1), "1 warning found, and --strict lets none pass");
        assert_eq!(message(2), "2 warnings found, and --strict lets none pass");
    }

    #[test]
    fn a_listener_on_a_knock_port_is_warned_of() {
        let loaded = config::parse(TEXT, STDIN, Path::new("")).unwrap();
        let warnings = |port| listener_warnings(&loaded, vec![port]);
        assert_eq!(warnings(Port::udp(5481).unwrap()).len(), 1);
        assert_eq!(warnings(Port::tcp(5481).unwrap()), []);
    }

    #[test]
    fn memory_follows_the_limits() {
        let memory = |limits: &str| {
            let loaded = config::parse(&format!("{TEXT}{limits}"), STDIN, Path::new("")).unwrap();
            memory(&loaded, 2).unwrap()
        };
        assert!(memory("[limits]\nattempts = 1024\n") + (16 << 20) < memory(""));
    }
}
