//! Why a knock failed.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use super::port::WaitPort;
use super::resolve::Family;

/// The texts name the host and its addresses, never the sequence.
#[derive(Debug, Error)]
pub enum KnockError {
    #[error("{host} has no address: {source}")]
    Unresolved { host: String, source: io::Error },
    #[error("{host} has no {family} address")]
    NoAddressOfFamily { host: String, family: Family },
    #[error("no address of {host} can be reached{}", listed(failures))]
    Unreachable { host: String, failures: Vec<(IpAddr, io::Error)> },
    #[error("{host} was knocked at, but {port} did not answer within {} seconds", within.as_secs_f32())]
    NoAnswer { host: String, port: WaitPort, within: Duration },
}

fn listed(failures: &[(IpAddr, io::Error)]) -> String {
    failures.iter().fold(String::new(), |mut text, (address, error)| {
        // Writing to a String does not fail.
        let _ = write!(text, "; {address}: {error}");
        text
    })
}
