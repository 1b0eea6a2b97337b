//! The knocking client, `knock-ctl knock`; needs no privilege.

mod answer;
mod error;
mod knock;
mod port;
mod resolve;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use knock_common::port::{Port, Protocol};

use answer::{Patience, any_answers};
use error::KnockError;
use knock::knock;
use port::{PortArgument, WaitPort};
use resolve::{Family, resolve};

/// Knocks at a host's ports, in their order, at every address that its name has.
#[derive(Args, Debug)]
pub struct KnockArguments {
    /// A name or an address
    host: String,

    /// The sequence: PORT, PORT/PROTO or PORT:PROTO; tcp unless said
    #[arg(required = true, value_name = "PORT[/PROTO]")]
    ports: Vec<PortArgument>,

    /// Milliseconds from one knock to the next
    #[arg(short, long, value_name = "MS", default_value_t = 50)]
    delay: u64,

    /// A port without protocol is a UDP port
    #[arg(short, long)]
    udp: bool,

    /// Print each knock
    #[arg(short, long)]
    verbose: bool,

    /// Knock at IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Knock at IPv6 addresses only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Then connect to this TCP port until it answers, for 5 seconds at most: what is used up by one connection is
    /// used up by this one
    #[arg(long, value_name = "PORT/PROTO")]
    wait: Option<WaitPort>,

    /// Knock up to N times more while the port of --wait doesn't answer
    #[arg(long, value_name = "N", requires = "wait", default_value_t = 0)]
    retry: u32,
}

impl KnockArguments {
    fn family(&self) -> Option<Family> {
        match (self.ipv4, self.ipv6) {
            (true, _) => Some(Family::Ipv4),
            (_, true) => Some(Family::Ipv6),
            (false, false) => None,
        }
    }

    fn sequence(&self) -> Vec<Port> {
        let default = if self.udp { Protocol::Udp } else { Protocol::Tcp };
        self.ports.iter().map(|port| port.or_protocol(default)).collect()
    }
}

/// Knocks, and waits for the answer where one is asked for. The error is a sentence for the user.
pub fn run(arguments: KnockArguments) -> anyhow::Result<ExitCode> {
    let knocking = Knocking {
        addresses: resolve(&arguments.host, arguments.family())?,
        sequence: arguments.sequence(),
        host: arguments.host,
        delay: Duration::from_millis(arguments.delay),
        verbose: arguments.verbose,
    };
    match arguments.wait {
        None => knocking.once().map(drop)?,
        Some(port) => knocking.until_answered(port, arguments.retry, Patience::DEFAULT)?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Knocking {
    host: String,
    addresses: Vec<SocketAddr>,
    sequence: Vec<Port>,
    delay: Duration,
    verbose: bool,
}

impl Knocking {
    fn until_answered(&self, port: WaitPort, retries: u32, patience: Patience) -> Result<(), KnockError> {
        for _ in 0..=retries {
            if any_answers(&self.once()?, port, patience) {
                return Ok(());
            }
        }
        Err(KnockError::NoAnswer { host: self.host.clone(), port, within: patience.total })
    }

    /// The addresses that got the whole sequence; an error if none did.
    ///
    /// One address after the other: several may belong to one server, to which an interleaved sequence would be wrong.
    fn once(&self) -> Result<Vec<SocketAddr>, KnockError> {
        let mut reached = Vec::new();
        let mut failures = Vec::new();
        for (index, &address) in self.addresses.iter().enumerate() {
            if index > 0 {
                thread::sleep(self.delay);
            }
            match self.at(address) {
                Ok(()) => reached.push(address),
                Err(error) => failures.push((address.ip(), error)),
            }
        }
        if reached.is_empty() {
            return Err(KnockError::Unreachable { host: self.host.clone(), failures });
        }
        if self.verbose {
            for (address, error) in &failures {
                eprintln!("{address}: {error}");
            }
        }
        Ok(reached)
    }

    fn at(&self, address: SocketAddr) -> io::Result<()> {
        for (index, &port) in self.sequence.iter().enumerate() {
            if index > 0 {
                thread::sleep(self.delay);
            }
            if self.verbose {
                println!("hitting {} {}:{}", port.protocol, address.ip(), port.number);
            }
            knock(address, port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
