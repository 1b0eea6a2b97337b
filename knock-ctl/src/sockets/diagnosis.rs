//! Sockets, by sock_diag(7).

use knock_common::port::{Port, Protocol};
use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, Parseable};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{Connection, SocketsError};
use crate::netlink::{Scope, ask};

/// Connections that were accepted, or were answered.
pub(super) const CONNECTED: StateFlags = StateFlags::ESTABLISHED
    .union(StateFlags::FIN_WAIT1)
    .union(StateFlags::FIN_WAIT2)
    .union(StateFlags::CLOSE_WAIT)
    .union(StateFlags::LAST_ACK)
    .union(StateFlags::CLOSING);

/// Connections whose SYN was answered, and of which no more was heard: it may have been forged.
pub(super) const HALF_OPEN: StateFlags = StateFlags::SYN_RECV;

/// Every TCP connection that has a socket here, from ESTABLISHED on and up to TIME-WAIT, each once, in order.
/// Connections of IPv6 sockets with IPv4 peers are IPv4 connections.
pub fn established() -> Result<Vec<Connection>, SocketsError> {
    connections(IPPROTO_TCP, CONNECTED)
}

/// Every TCP connection that is in SYN-RECEIVED here, as [`established`].
pub fn half_open() -> Result<Vec<Connection>, SocketsError> {
    connections(IPPROTO_TCP, HALF_OPEN)
}

/// Every UDP socket here that is connected to one peer, as [`established`].
pub fn connected_datagrams() -> Result<Vec<Connection>, SocketsError> {
    connections(IPPROTO_UDP, StateFlags::ESTABLISHED)
}

fn connections(protocol: u8, states: StateFlags) -> Result<Vec<Connection>, SocketsError> {
    let mut connections: Vec<Connection> =
        sockets(protocol, states)?.into_iter().map(|socket| socket.ends).collect();
    connections.sort_unstable();
    connections.dedup();
    Ok(connections)
}

/// Every port that something listens on here: TCP listeners, and UDP sockets that are bound and not connected. On
/// whatever address; each port once, in order.
pub fn listeners() -> Result<Vec<Port>, SocketsError> {
    // The kernel keeps an unconnected UDP socket in state CLOSE.
    let kinds =
        [(IPPROTO_TCP, Protocol::Tcp, StateFlags::LISTEN), (IPPROTO_UDP, Protocol::Udp, StateFlags::CLOSE)];
    let mut ports = Vec::new();
    for (number, protocol, states) in kinds {
        let bound = sockets(number, states)?;
        ports.extend(bound.into_iter().filter_map(|socket| Port::new(protocol, socket.ends.local.1)));
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

pub(super) fn sockets(protocol: u8, states: StateFlags) -> Result<Vec<Socket>, SocketsError> {
    let mut found = Vec::new();
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let request = SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol,
            extensions: ExtensionFlags::empty(),
            states: states.clone(),
            socket_id,
        });
        found
            .extend(ask::<_, Socket>(NETLINK_SOCK_DIAG, Scope::All, request).map_err(SocketsError::Sockets)?);
    }
    Ok(found)
}

/// The fixed part of an answer. Its attributes grow with every kernel and say nothing that is needed here.
pub(super) struct Socket {
    /// A listener's `remote` says nothing.
    pub(super) ends: Connection,
    /// No other socket of this network namespace ever has the same.
    pub(super) cookie: u64,
    /// As /proc/PID/fd shows it; 0: no process has it yet, or any more.
    pub(super) inode: u32,
}

impl NetlinkDeserializable for Socket {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let InetResponseHeader { socket_id, inode, .. } = InetResponseHeader::parse(payload)?;
        let ends = Connection {
            local: (socket_id.source_address.into(), socket_id.source_port),
            remote: (socket_id.destination_address.into(), socket_id.destination_port),
        };
        Ok(Self { ends, cookie: u64::from_ne_bytes(socket_id.cookie), inode })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn connection(local: SocketAddr, remote: SocketAddr) -> Connection {
        Connection { local: (local.ip().into(), local.port()), remote: (remote.ip().into(), remote.port()) }
    }

    /// The socket's own view of a connection, with an IPv4-mapped address as plain IPv4.
    fn canonical(address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }

    #[test]
    fn both_ends_of_a_loopback_connection_are_seen_once_and_by_family() {
        for (bound, target) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let listener = TcpListener::bind(bound).unwrap();
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect((target, port)).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let connections = established().unwrap();
            let count =
                |wanted: Connection| connections.iter().filter(|&&connection| connection == wanted).count();
            let (near, far) = (canonical(server.local_addr().unwrap()), canonical(peer));
            assert_eq!(count(connection(near, far)), 1, "server side of {bound}");
            assert_eq!(count(connection(far, near)), 1, "client side of {bound}");
            drop(client);
        }
    }

    #[test]
    fn a_connection_that_is_closing_is_seen_and_a_listener_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let local = server.local_addr().unwrap();
        let connections = established().unwrap();
        assert!(connections.contains(&connection(local, peer)));
        assert!(connections.contains(&connection(peer, local)));
        assert!(connections.iter().all(|connection| connection.remote.1 != 0));
    }

    #[test]
    fn listeners_of_both_protocols_and_families_are_seen() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let tcp = TcpListener::bind(address).unwrap();
            let udp = UdpSocket::bind(address).unwrap();
            let ports = [
                Port::tcp(tcp.local_addr().unwrap().port()).unwrap(),
                Port::udp(udp.local_addr().unwrap().port()).unwrap(),
            ];
            let found = listeners().unwrap();
            assert!(ports.iter().all(|port| found.contains(port)), "{ports:?} in {found:?}");
        }
    }

    #[test]
    fn a_connected_udp_socket_is_no_listener() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Bound for both families, so that nobody else's socket can have the same port.
        let client = UdpSocket::bind("[::]:0").unwrap();
        client.connect(("::ffff:127.0.0.1", server.local_addr().unwrap().port())).unwrap();
        let found = listeners().unwrap();
        assert!(found.contains(&Port::udp(server.local_addr().unwrap().port()).unwrap()));
        assert!(!found.contains(&Port::udp(client.local_addr().unwrap().port()).unwrap()));
    }

    #[test]
    fn a_dump_of_many_datagrams_is_read_to_its_end() {
        let sockets: Vec<UdpSocket> = (0..900).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let found = listeners().unwrap();
        for socket in &sockets {
            let port = Port::udp(socket.local_addr().unwrap().port()).unwrap();
            assert!(found.contains(&port), "{port} is missing among {}", found.len());
        }
    }
}
