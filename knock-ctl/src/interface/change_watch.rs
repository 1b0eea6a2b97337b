//! Notices when something about the network of this host changes, by rtnetlink(7).

use std::future::poll_fn;
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};

use super::InterfaceError;
use crate::netlink::NetlinkError;

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Addresses,
    Links,
    Routes,
}

/// Follows the addresses, the interfaces or the routes of one network namespace.
pub struct ChangeWatch {
    subject: Subject,
    socket: TokioSocket,
}

impl ChangeWatch {
    /// Follows the addresses of the calling thread's network namespace, from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of_addresses() -> Result<Self, InterfaceError> {
        Self::of(Subject::Addresses)
    }

    /// Follows the interfaces: which there are, and how they are.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of_links() -> Result<Self, InterfaceError> {
        Self::of(Subject::Links)
    }

    /// Follows the routes, of which there can be a million.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of_routes() -> Result<Self, InterfaceError> {
        Self::of(Subject::Routes)
    }

    fn of(subject: Subject) -> Result<Self, InterfaceError> {
        let socket = subscribe(subject.groups()).map_err(|error| subject.watching_failed(error))?;
        Ok(Self { subject, socket })
    }

    /// Returns once something has happened to any since the last call: it may be there or gone, or only differ somehow.
    /// Returns once for all that has happened by then, and loses nothing when it is cancelled.
    pub async fn changed(&mut self) -> Result<(), InterfaceError> {
        self.read_all().await.map_err(|error| self.subject.watching_failed(error))
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

impl Subject {
    fn groups(self) -> u32 {
        let groups = match self {
            Self::Addresses => libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR,
            Self::Links => libc::RTMGRP_LINK,
            Self::Routes => libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE,
        };
        groups.cast_unsigned()
    }

    fn watching_failed(self, error: io::Error) -> InterfaceError {
        let error = NetlinkError::Socket(error);
        match self {
            Self::Addresses => InterfaceError::Addresses(error),
            Self::Links => InterfaceError::Links(error),
            Self::Routes => InterfaceError::Routes(error),
        }
    }
}

fn subscribe(groups: u32) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
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
