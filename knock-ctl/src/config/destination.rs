//! To whom packets are sent that are filtered.

use std::fmt;
use std::net::IpAddr;

use super::address;
use super::report::Fault;
use super::tree::{Node, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Any address of this machine.
    Local,
    Address(IpAddr),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("this machine's own addresses"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// `"local"` or a single address.
pub(super) fn destination(node: &Node) -> Result<Destination, Fault> {
    match &node.value {
        Value::Text(text) if text == "local" => Ok(Destination::Local),
        _ => address::address(node).map(Destination::Address).map_err(|fault| Fault {
            help: format!("{}, or \"local\" for this machine's own addresses", fault.help),
            ..fault
        }),
    }
}
