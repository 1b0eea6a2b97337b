//! Connections that others have begun.

use std::collections::HashSet;

use netlink_packet_sock_diag::constants::IPPROTO_TCP;
use netlink_packet_sock_diag::inet::StateFlags;

use super::diagnosis::{CONNECTED, HALF_OPEN, sockets};
use super::{Connection, SocketsError};

/// An established TCP connection to a port that something listens on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundConnection {
    pub ends: Connection,
    /// No other connection of this network namespace ever has the same.
    pub cookie: u64,
    /// That of the socket in /proc/PID/fd, of which the kernel tells 32 bits; 0: no process has accepted it yet.
    pub inode: u32,
}

/// Every inbound TCP connection that is established.
pub fn inbound() -> Result<Vec<InboundConnection>, SocketsError> {
    let listeners = sockets(IPPROTO_TCP, StateFlags::LISTEN)?;
    let listened: HashSet<u16> = listeners.into_iter().map(|socket| socket.ends.local.1).collect();
    let established = sockets(IPPROTO_TCP, StateFlags::ESTABLISHED)?;
    Ok(established
        .into_iter()
        .filter(|socket| listened.contains(&socket.ends.local.1))
        .map(|socket| InboundConnection { ends: socket.ends, cookie: socket.cookie, inode: socket.inode })
        .collect())
}

/// The cookies of all TCP connections, from SYN-RECEIVED on: a connection keeps its cookie when it is accepted.
pub fn connection_cookies() -> Result<Vec<u64>, SocketsError> {
    Ok(sockets(IPPROTO_TCP, HALF_OPEN.union(CONNECTED))?.into_iter().map(|socket| socket.cookie).collect())
}

impl InboundConnection {
    /// Whether both its ends are on this machine, so that its packets see no other interface than the loopback.
    pub fn is_within_this_machine(&self) -> bool {
        let Connection { local, remote } = self.ends;
        local.0 == remote.0 || remote.0.to_ip().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    fn of_server(port: u16) -> Vec<InboundConnection> {
        inbound().unwrap().into_iter().filter(|connection| connection.ends.local.1 == port).collect()
    }

    #[test]
    fn the_end_that_accepts_is_inbound_and_the_other_is_not() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            assert_eq!(of_server(port), []);
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let waiting = of_server(port);
            let (_server, peer) = listener.accept().unwrap();
            let accepted = of_server(port);
            assert_eq!((waiting.len(), accepted.len()), (1, 1));
            assert_eq!(accepted[0].cookie, waiting[0].cookie);
            assert_eq!((waiting[0].inode, accepted[0].inode == 0), (0, false));
            let remote = (peer.ip().into(), peer.port());
            assert_eq!(accepted[0].ends.remote, remote);
            assert!(accepted[0].is_within_this_machine());
            assert!(of_server(client.local_addr().unwrap().port()).is_empty());
        }
    }

    #[test]
    fn each_connection_has_a_cookie_of_its_own_that_it_keeps() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to: SocketAddr = listener.local_addr().unwrap();
        let _first = TcpStream::connect(to).unwrap();
        let before = connection_cookies().unwrap();
        let _second = TcpStream::connect(to).unwrap();
        let connections = of_server(to.port());
        let new: Vec<bool> =
            connections.iter().map(|connection| !before.contains(&connection.cookie)).collect();
        assert_eq!(new.iter().filter(|new| **new).count(), 1, "{connections:?}");
        assert_eq!(new.len(), 2);
    }
}
