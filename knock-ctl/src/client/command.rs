//! The subcommands that need no filter, which are all that the client alone has.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::arguments::KnockArguments;
use crate::failure;
use crate::version::version;

#[derive(Subcommand, Debug)]
pub enum ClientCommand {
    Knock(KnockArguments),
}

impl ClientCommand {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Knock(arguments) => super::run(&arguments),
        }
    }
}

/// Knocks at ports that open to whoever knows the sequence
#[derive(Parser, Debug)]
#[command(name = "knock-ctl", version = version(), propagate_version = true)]
struct Alone {
    #[command(subcommand)]
    command: ClientCommand,
}

/// Does what the command line of the client alone says. Exit status: 0 done, 1 it failed, 2 the call was wrong.
pub fn run_alone() -> ExitCode {
    Alone::parse().command.run().unwrap_or_else(|error| failure::report(&error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_of_the_client_alone_is_sound() {
        Alone::command().debug_assert();
        let line = ["knock-ctl", "knock", "web", "--stdio"];
        assert!(matches!(Alone::try_parse_from(line).unwrap().command, ClientCommand::Knock(_)));
    }
}
