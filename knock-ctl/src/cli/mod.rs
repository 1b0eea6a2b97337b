//! The command line: one file a subcommand. Output goes to stdout, logs and errors to stderr.

mod attach;
mod check;
mod confirm;
mod detach;
mod door_or_port;
mod drops;
mod events;
mod filter;
mod generate;
mod grant;
mod grants;
mod import;
mod notify;
mod output;
mod reload;
mod replay;
mod revoke;
mod status;
mod top;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::ClientCommand;
use crate::version::version;
use crate::{failure, logging};

const DEFAULT_CONFIG: &str = "/etc/knock/knock.toml";

/// Port knocking at the network card: closes ports in XDP, and opens them to whoever knows the sequence
#[derive(Parser, Debug)]
#[command(name = "knock-ctl", version = version(), propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Attach(attach::AttachArguments),
    Detach(detach::DetachArguments),
    Check(check::CheckArguments),
    Reload(reload::ReloadArguments),
    Confirm(confirm::ConfirmArguments),
    Status(status::StatusArguments),
    Grants(grants::GrantsArguments),
    #[command(visible_alias = "allow")]
    Grant(grant::GrantArguments),
    Revoke(revoke::RevokeArguments),
    Drops(drops::DropsArguments),
    Events(events::EventsArguments),
    Top(top::TopArguments),
    Import(import::ImportArguments),
    Generate(generate::GenerateArguments),
    #[command(flatten)]
    Client(ClientCommand),
    Why(why::WhyArguments),
    Replay(replay::ReplayArguments),
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Attach(arguments) => attach::run(arguments),
            Self::Detach(arguments) => detach::run(arguments),
            Self::Check(arguments) => check::run(&arguments),
            Self::Reload(arguments) => reload::run(&arguments),
            Self::Confirm(arguments) => confirm::run(&arguments),
            Self::Status(arguments) => status::run(&arguments),
            Self::Grants(arguments) => grants::run(&arguments),
            Self::Grant(arguments) => grant::run(&arguments),
            Self::Revoke(arguments) => revoke::run(&arguments),
            Self::Drops(arguments) => drops::run(&arguments),
            Self::Events(arguments) => events::run(arguments),
            Self::Top(arguments) => top::run(&arguments),
            Self::Import(arguments) => import::run(&arguments),
            Self::Generate(arguments) => generate::run(&arguments),
            Self::Client(command) => command.run(),
            Self::Why(arguments) => why::run(&arguments),
            Self::Replay(arguments) => replay::run(&arguments),
        }
    }
}

/// Does what the command line says. Exit status: 0 done, 1 it failed, 2 the call was wrong; that of `status` tells more.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    logging::begin();
    cli.command.run().unwrap_or_else(|error| failure::report(&error))
}

#[cfg(test)]
mod tests;
