//! The sockets and connections that exist on this host, asked of the kernel over netlink.
//!
//! All of it is about the network namespace of the calling thread.

mod conntrack;
mod diagnosis;
mod inbound;

use knock_common::address::Address;

pub use conntrack::{TrackedConnection, conntrack};
pub use diagnosis::{connected_datagrams, established, half_open, listeners};
pub use inbound::{InboundConnection, connection_cookies, inbound};

use crate::netlink::NetlinkError;

/// A connection, as its packets look when they arrive here: from `remote` to `local`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    pub local: (Address, u16),
    pub remote: (Address, u16),
}

/// Why the kernel did not say what exists.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// Usually a kernel without the modules `tcp_diag` and `udp_diag`.
    #[error("cannot list the sockets of this host (needs the kernel modules tcp_diag and udp_diag): {0}")]
    Sockets(#[source] NetlinkError),
    /// Needs CAP_NET_ADMIN, and the kernel module `nf_conntrack_netlink`.
    #[error(
        "cannot list the tracked connections of this host (needs CAP_NET_ADMIN and the kernel module \
         nf_conntrack_netlink): {0}"
    )]
    Conntrack(#[source] NetlinkError),
}
