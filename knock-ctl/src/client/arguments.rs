//! The command line of `knock`.

use std::path::PathBuf;

use clap::Args;

use super::port::{PortArgument, WaitPort};
use super::resolve::Family;

/// Knocks at a host's ports, in their order, at every address that its name has
///
/// Without ports, HOST is a name in hosts.toml, which keeps the sequence out of the shell's history and the list of
/// processes: ~/.config/knock/hosts.toml, with a section [hosts.NAME] each, mode 0600.
#[derive(Args, Debug)]
pub struct KnockArguments {
    /// A name or an address; without ports: a name in hosts.toml
    pub(super) host: String,

    /// The sequence: PORT, PORT/PROTO or PORT:PROTO; tcp unless said
    #[arg(value_name = "PORT[/PROTO]")]
    pub(super) ports: Vec<PortArgument>,

    /// Take the sequence from a file that holds one a line, as knockd's do, and mark it as used before knocking
    #[arg(long, value_name = "FILE", conflicts_with = "ports")]
    pub(super) one_time: Option<PathBuf>,

    /// Milliseconds from one knock to the next [default: 50]
    #[arg(short, long, value_name = "MS")]
    pub(super) delay: Option<u64>,

    /// A port without protocol is a UDP port
    #[arg(short, long, requires = "ports")]
    pub(super) udp: bool,

    /// Print each knock
    #[arg(short, long)]
    pub(super) verbose: bool,

    /// Knock at IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Knock at IPv6 addresses only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Then connect to this TCP port until it answers, for 5 seconds at most: what is used up by one connection is
    /// used up by this one
    #[arg(long, value_name = "PORT[/tcp]")]
    pub(super) wait: Option<WaitPort>,

    /// Knock up to N times more while the port of --wait doesn't answer [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) retry: Option<u32>,

    /// Keep the connection to the port of --wait, and pass on stdin and stdout over it, as in
    /// ssh -o 'ProxyCommand knock-ctl knock %h --wait %p --stdio'
    #[arg(long)]
    pub(super) stdio: bool,
}

impl KnockArguments {
    pub(super) fn family(&self) -> Option<Family> {
        match (self.ipv4, self.ipv6) {
            (true, _) => Some(Family::Ipv4),
            (_, true) => Some(Family::Ipv6),
            (false, false) => None,
        }
    }
}
