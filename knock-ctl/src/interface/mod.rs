//! The network interfaces of this host: which there are, what they can do, what is attached to them.
//!
//! All of it is about the network namespace of the calling thread. Nothing is read from /sys, which shows the namespace
//! that it was mounted in.

mod addresses;
mod change_watch;
mod ethtool;
mod forwarding;
mod groups;
mod link;
mod name;
mod placement;
mod route;
mod xdp_program;

pub use addresses::local_addresses;
pub use change_watch::ChangeWatch;
pub use forwarding::{Forwarding, forwarding};
pub use link::{InterfaceFacts, Master, XdpMode, XdpProgram, attached_programs, describe};
pub use name::{InterfaceName, InvalidName, name_of};
pub use placement::{Misplaced, misplaced};
pub use route::default_route_interface;
pub use xdp_program::{put_program, remove_program};

use std::io;

use crate::netlink::NetlinkError;

/// Why an interface could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    #[error("there is no interface {0} here")]
    NotFound(String),
    #[error("cannot look at interface {name}: {source}")]
    Link { name: String, source: NetlinkError },
    #[error("cannot list the interfaces of this host: {0}")]
    Links(#[source] NetlinkError),
    #[error("cannot tell whether this host forwards: /proc/sys/{path}: {source}")]
    Setting { path: String, source: io::Error },
    #[error("cannot list the addresses of this host: {0}")]
    Addresses(#[source] NetlinkError),
    #[error("cannot list the multicast groups of this host: {path}: {source}")]
    Groups { path: String, source: io::Error },
    #[error("cannot list the routes of this host: {0}")]
    Routes(#[source] NetlinkError),
}
