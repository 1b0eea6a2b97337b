//! One knock: one packet, sent once.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use knock_common::port::{Port, Protocol};
use socket2::{Domain, SockAddr, Socket, Type};

/// Sends one packet to `port` of `address` (whose own port is ignored) from a socket of its own: a SYN, or a datagram
/// of one byte.
///
/// Fails where the packet could not leave this host. Whether it arrives is not known.
pub(super) fn knock(mut address: SocketAddr, port: Port) -> io::Result<()> {
    address.set_port(port.number.get());
    let (domain, target) = (Domain::for_address(address), SockAddr::from(address));
    match port.protocol {
        Protocol::Tcp => send_syn(&Socket::new(domain, Type::STREAM, None)?, &target),
        Protocol::Udp => Socket::new(domain, Type::DGRAM, None)?.send_to(&[0], &target).map(drop),
    }
}

/// The socket must be closed without waiting for an answer, so that the kernel does not send the SYN again.
fn send_syn(socket: &Socket, target: &SockAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    match socket.connect(target) {
        Err(error) if is_sent(&error) => Ok(()),
        result => result,
    }
}

fn is_sent(error: &io::Error) -> bool {
    // Where the host is this one, a closed port has refused before connect returns.
    is_under_way(error) || error.kind() == ErrorKind::ConnectionRefused
}

/// How a connect that does not wait says that it has begun.
#[cfg(unix)]
fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32)
}

#[cfg(not(unix))]
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
