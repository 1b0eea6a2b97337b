//! Packets that are sent to one port, whole or in fragments.

use std::net::IpAddr;

use crate::packet::Frame;
use crate::packet::numbers::{TCP, UDP};

use super::Knock;

/// What the sender is after: a port of the server.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    pub from: IpAddr,
    pub to: IpAddr,
    pub source_port: u16,
    pub at: Knock,
}

impl Aim {
    pub fn is_ipv4(&self) -> bool {
        self.to.is_ipv4()
    }

    pub fn is_tcp(&self) -> bool {
        matches!(self.at, Knock::Tcp(_))
    }

    /// The undisguised packet: a SYN, or a datagram with a payload of one byte.
    pub fn frame(&self) -> Frame {
        self.at.frame(self.from, self.to, self.source_port)
    }

    /// The same with a payload of 32 bytes.
    pub fn long_frame(&self) -> Frame {
        self.frame().payload(&[b'x'; 32])
    }

    /// Bytes `from..to` of what a whole frame has behind its IP header, as one fragment of it.
    pub fn fragment(&self, whole: &Frame, from: usize, to: usize) -> Frame {
        let header = if self.is_ipv4() { 34 } else { 54 };
        let transport = whole.build().split_off(header);
        let to = to.min(transport.len());
        let protocol = if self.is_tcp() { TCP } else { UDP };
        Frame::protocol(self.from, self.to, protocol)
            .payload(&transport[from..to])
            .identification(self.identification())
            .fragment((from / 8) as u16, to < transport.len())
    }

    /// What a [`Witness`](super::Witness) knows it by.
    pub fn sender(&self) -> Knock {
        match self.at {
            Knock::Tcp(_) => Knock::Tcp(self.source_port),
            Knock::Udp(_) => Knock::Udp(self.source_port),
        }
    }

    /// Kernels put fragments of one identification together, whatever their protocol.
    pub fn identification(&self) -> u16 {
        let (Knock::Tcp(port) | Knock::Udp(port)) = self.at;
        self.source_port.wrapping_add(port) ^ (u16::from(self.is_tcp()) << 15)
    }

    /// A whole frame in fragments of `size` bytes, a multiple of 8.
    pub fn fragments(&self, whole: &Frame, size: usize) -> Vec<Vec<u8>> {
        let header = if self.is_ipv4() { 34 } else { 54 };
        let length = whole.build().len() - header;
        (0..length).step_by(size).map(|from| self.fragment(whole, from, from + size).build()).collect()
    }
}
