//! The network interfaces of this host: which there are, what they can do, what is attached to them.
//!
//! All of it is about the network namespace of the calling thread. Nothing is read from /sys, which shows the namespace
//! that it was mounted in.

mod address_watch;
mod addresses;
mod ethtool;
mod link;
mod name;
mod route;

pub use address_watch::AddressWatch;
pub use addresses::local_addresses;
pub use link::{InterfaceFacts, Master, XdpMode, XdpProgram, attached_programs, describe};
pub use name::{InterfaceName, InvalidName};
pub use route::default_route_interface;

use crate::netlink::NetlinkError;

/// Why an interface could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    #[error("there is no interface {0} here")]
    NotFound(String),
    #[error("cannot look at interface {name}: {source}")]
    Link { name: String, source: NetlinkError },
    #[error("cannot list the addresses of this host: {0}")]
    Addresses(#[source] NetlinkError),
    #[error("cannot list the routes of this host: {0}")]
    Routes(#[source] NetlinkError),
}
