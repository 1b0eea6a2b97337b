//! A whole sequence, at every address of a host.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::answer::{Patience, first_answer};
use super::error::KnockError;
use super::knock::knock;
use super::port::WaitPort;
use crate::config::Sequence;

pub(super) struct Knocking {
    pub host: String,
    /// At least one.
    pub addresses: Vec<SocketAddr>,
    pub sequence: Sequence,
    /// From one knock to the next.
    pub delay: Duration,
    /// Each knock is told of.
    pub verbose: bool,
    pub notes: Notes,
}

/// Where to tell what happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notes {
    Stdout,
    /// Where stdout holds something else.
    Stderr,
}

impl Notes {
    pub(super) fn say(self, line: &str) {
        // Nobody who has stopped reading misses it.
        let _ = match self {
            Self::Stdout => writeln!(io::stdout(), "{line}"),
            Self::Stderr => writeln!(io::stderr(), "{line}"),
        };
    }
}

impl Knocking {
    /// The connection to the port that answered.
    pub(super) fn until_answered(
        &self,
        port: WaitPort,
        retries: u32,
        patience: Patience,
    ) -> Result<TcpStream, KnockError> {
        for _ in 0..=retries {
            if let Some(stream) = first_answer(&self.once()?, port, patience) {
                return Ok(stream);
            }
        }
        Err(KnockError::NoAnswer { host: self.host.clone(), port, within: patience.total })
    }

    /// The addresses that got the whole sequence; an error if none did.
    ///
    /// One address after the other: several may belong to one server, to which an interleaved sequence would be wrong.
    pub(super) fn once(&self) -> Result<Vec<SocketAddr>, KnockError> {
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
        for (index, &port) in self.sequence.steps().iter().enumerate() {
            if index > 0 {
                thread::sleep(self.delay);
            }
            if self.verbose {
                self.notes.say(&format!("hitting {} {}:{}", port.protocol, address.ip(), port.number));
            }
            knock(address, port)?;
        }
        Ok(())
    }
}
