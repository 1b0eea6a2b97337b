//! From a host's name to its addresses.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use super::error::KnockError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    fn has(self, address: &SocketAddr) -> bool {
        match self {
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// The addresses of `host`, each once, at least one; the port in them is 0.
pub(super) fn resolve(host: &str, family: Option<Family>) -> Result<Vec<SocketAddr>, KnockError> {
    let found = (host, 0)
        .to_socket_addrs()
        .map_err(|source| KnockError::Unresolved { host: host.to_owned(), source })?;
    let mut addresses = Vec::new();
    for address in found.filter(|address| family.is_none_or(|family| family.has(address))) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match (addresses.is_empty(), family) {
        (true, Some(family)) => Err(KnockError::NoAddressOfFamily { host: host.to_owned(), family }),
        (true, None) => Err(KnockError::Unresolved {
            host: host.to_owned(),
            source: std::io::ErrorKind::AddrNotAvailable.into(),
        }),
        (false, _) => Ok(addresses),
    }
}
