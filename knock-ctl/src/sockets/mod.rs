//! The sockets and connections that exist on this host, asked of the kernel over netlink.
