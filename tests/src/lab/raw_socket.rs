//! Whole Ethernet frames, for what the socket interface can't say: VLAN tags, lying headers, forged sources.

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt,
    socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A packet socket on one interface.
#[derive(Debug)]
pub struct RawSocket {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl RawSocket {
    /// Opens it in the calling thread's network namespace.
    pub(super) fn open(interface: &str) -> Result<Self> {
        let interface = getifaddrs()?
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .with_context(|| format!("no interface {interface}"))?;
        let socket =
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
                .context("opening a packet socket")?;
        bind(socket.as_raw_fd(), &interface).context("binding a packet socket")?;
        Ok(Self { socket, interface })
    }

    /// Sends one frame, from its destination MAC address on. Waits while there is no room in queues.
    ///
    /// # Errors
    /// When the kernel refuses it or takes only a part.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = loop {
            match sendto(self.socket.as_raw_fd(), frame, &self.interface, MsgFlags::empty()) {
                Err(Errno::ENOBUFS) => std::thread::yield_now(),
                result => break result?,
            }
        };
        ensure!(sent == frame.len(), "{sent} of {} bytes sent", frame.len());
        Ok(())
    }

    /// The next frame seen on the interface, in either direction, that `wanted` accepts; `None` when `limit` is over.
    /// The kernel may have taken its outer VLAN tag off.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn receive(&self, limit: Duration, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + limit;
        let mut buffer = vec![0; 65_536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let microseconds = i64::try_from(left.as_micros()).unwrap_or(i64::MAX).max(1);
            setsockopt(&self.socket, ReceiveTimeout, &TimeVal::microseconds(microseconds))?;
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) if wanted(&buffer[..length]) => return Ok(Some(buffer[..length].to_vec())),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error).context("receiving a frame"),
            }
        }
    }
}
