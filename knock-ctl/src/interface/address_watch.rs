//! Notices when the addresses of this host change, by rtnetlink(7).

use std::future::poll_fn;
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};

use super::InterfaceError;
use crate::netlink::NetlinkError;

const GROUPS: u32 = (libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32;

/// Follows the addresses of one network namespace.
pub struct AddressWatch {
    socket: TokioSocket,
}

impl AddressWatch {
    /// Follows those of the calling thread's network namespace, from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new() -> Result<Self, InterfaceError> {
        subscribe().map(|socket| Self { socket }).map_err(watching_failed)
    }

    /// Returns once something has happened to an address since the last call: it may be there or gone, or only live longer.
    /// Returns once for all that has happened by then, and loses nothing when it is cancelled.
    pub async fn changed(&mut self) -> Result<(), InterfaceError> {
        self.read_all().await.map_err(watching_failed)
    }

    async fn read_all(&self) -> io::Result<()> {
        noticed(poll_fn(|context| self.socket.poll_recv(context, &mut message())).await)?;
        loop {
            match self.socket.socket_ref().recv(&mut message(), 0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                read => noticed(read)?,
            }
        }
    }
}

fn subscribe() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
    Ok(socket)
}

/// Room for the first byte of a message, which is dropped with the rest: that there is one says enough.
fn message() -> Vec<u8> {
    Vec::with_capacity(1)
}

/// Counts as a message when the kernel had more of them than it had room for.
fn noticed<T>(read: io::Result<T>) -> io::Result<()> {
    match read {
        Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => Err(error),
        _ => Ok(()),
    }
}

fn watching_failed(error: io::Error) -> InterfaceError {
    InterfaceError::Addresses(NetlinkError::Socket(error))
}
