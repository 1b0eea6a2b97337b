//! What to do: what the command line says, and hosts.toml where it says no sequence.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use knock_common::port::Protocol;
use thiserror::Error;

use super::arguments::KnockArguments;
use super::port::WaitPort;
use super::resolve::Family;
use crate::config::hosts::{self, Host, Secret};
use crate::config::{ConfigErrors, Sequence, SequenceError};

const DEFAULT_DELAY: Duration = Duration::from_millis(50);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// A name to look up, or an address.
    pub host: String,
    pub family: Option<Family>,
    pub secret: Secret,
    pub delay: Duration,
    pub afterwards: Afterwards,
}

/// What follows the knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    Nothing,
    /// Waits for the answer of a port, and knocks again while there is none.
    Wait {
        port: WaitPort,
        retries: u32,
    },
    /// The same, and keeps the connection.
    Relay {
        port: WaitPort,
        retries: u32,
    },
}

#[derive(Debug, Error)]
pub(super) enum PlanError {
    /// The call says too little or too much.
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Hosts(#[from] ConfigErrors),
}

#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum CallError {
    #[error(
        "what to knock at {name}? Name its ports, as in \"knock-ctl knock {name} PORT PORT PORT\"{}",
        or_write(name, file)
    )]
    NoSequence { name: String, file: Option<PathBuf> },
    #[error("{0}; {help}", help = .0.help())]
    Sequence(#[from] SequenceError),
    #[error("{option} needs a port to connect to: give --wait PORT too")]
    NoPort { option: &'static str },
}

fn or_write(name: &str, file: &Option<PathBuf>) -> String {
    let file = file.as_ref().map_or_else(|| "hosts.toml".to_owned(), |file| file.display().to_string());
    format!(", or write them into {file} as [hosts.{}], sequence = [...]", hosts::section_name(name))
}

impl Plan {
    /// `hosts_file` is read only where the command line holds no sequence: then each of its options stands before what
    /// the file says.
    pub(super) fn new(arguments: &KnockArguments, hosts_file: Option<&Path>) -> Result<Self, PlanError> {
        let host = match given_secret(arguments)? {
            Some(secret) => Host {
                name: arguments.host.clone(),
                address: arguments.host.clone(),
                secret,
                delay: None,
                family: None,
                wait: None,
                retry: None,
            },
            None => named_host(&arguments.host, hosts_file)?,
        };
        Ok(Self {
            afterwards: afterwards(arguments, &host)?,
            host: host.address,
            family: arguments.family().or(host.family),
            secret: host.secret,
            delay: arguments.delay.map(Duration::from_millis).or(host.delay).unwrap_or(DEFAULT_DELAY),
        })
    }
}

/// Where hosts.toml is, by the XDG base directory specification.
pub(super) fn hosts_file() -> Option<PathBuf> {
    let configuration = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let configuration = configuration.or_else(|| Some(env::home_dir()?.join(".config")))?;
    Some(configuration.join("knock").join("hosts.toml"))
}

fn given_secret(arguments: &KnockArguments) -> Result<Option<Secret>, CallError> {
    if let Some(file) = &arguments.one_time {
        return Ok(Some(Secret::OneTime(file.clone())));
    }
    if arguments.ports.is_empty() {
        return Ok(None);
    }
    let default = if arguments.udp { Protocol::Udp } else { Protocol::Tcp };
    let steps = arguments.ports.iter().map(|port| port.or_protocol(default)).collect();
    Ok(Some(Secret::Sequence(Sequence::new(steps)?)))
}

fn named_host(name: &str, file: Option<&Path>) -> Result<Host, PlanError> {
    let hosts = file.map_or(Ok(Vec::new()), hosts::load)?;
    hosts
        .into_iter()
        .find(|host| host.name == name)
        .ok_or_else(|| CallError::NoSequence { name: name.to_owned(), file: file.map(Path::to_owned) }.into())
}

fn afterwards(arguments: &KnockArguments, host: &Host) -> Result<Afterwards, CallError> {
    let retries = arguments.retry.or(host.retry).unwrap_or(0);
    match (arguments.wait.or(host.wait), arguments.stdio) {
        (Some(port), true) => Ok(Afterwards::Relay { port, retries }),
        (Some(port), false) => Ok(Afterwards::Wait { port, retries }),
        (None, true) => Err(CallError::NoPort { option: "--stdio" }),
        (None, false) if arguments.retry.is_some() => Err(CallError::NoPort { option: "--retry" }),
        (None, false) => Ok(Afterwards::Nothing),
    }
}

#[cfg(test)]
mod tests;
