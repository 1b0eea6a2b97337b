//! Connections of either side, seen in both directions.

use super::Direction;
use super::rules::{chance, pick};
use crate::model::{Port, Protocol};
use crate::packet::Frame;
use crate::packet::numbers::*;
use fastrand::Rng;
use std::net::IpAddr;

/// One five-tuple.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    pub(super) protocol: Protocol,
    pub(super) remote: IpAddr,
    pub(super) remote_port: u16,
    pub(super) local: IpAddr,
    pub(super) local_port: u16,
    pub(super) sequence: u32,
    /// Who sent the SYN, or the first datagram.
    pub(super) begun: Direction,
}

impl Talk {
    /// Its first packet: a SYN or an empty datagram.
    pub(super) fn first(&self) -> Frame {
        self.packet(self.begun).0
    }

    /// A later packet of either side, the first once more, or another SYN on its five-tuple.
    pub(super) fn go_on(&self, random: &mut Rng) -> (Frame, Direction) {
        let direction = pick(random, &[Direction::Arriving, Direction::Arriving, Direction::Leaving]);
        let (frame, first) = self.packet(direction);
        let frame = match (self.protocol, random.u32(0..20)) {
            (Protocol::Udp, 0..10) => frame,
            (Protocol::Udp, _) => frame.payload(b"data"),
            (Protocol::Tcp, 0..3) if first => frame,
            (Protocol::Tcp, 3) => frame.sequence(random.u32(..)),
            (Protocol::Tcp, 0..9) => frame.flags(ACK),
            (Protocol::Tcp, 9..14) => frame.flags(PSH | ACK).payload(b"data"),
            (Protocol::Tcp, 14..16) => frame.flags(FIN | ACK),
            (Protocol::Tcp, 16) => frame.flags(RST),
            (Protocol::Tcp, 17) if first => frame.flags(ACK),
            (Protocol::Tcp, 17 | 18) => frame.flags(SYN | ACK),
            (Protocol::Tcp, _) => frame.flags(FIN | ACK).payload(b"last"),
        };
        let frame = if chance(random, 4) { frame.fragment(0, true) } else { frame };
        (frame, direction)
    }

    /// A packet in one direction, and whether that is the one in which it began.
    fn packet(&self, direction: Direction) -> (Frame, bool) {
        let (from, to, ports) = match direction {
            Direction::Arriving => (self.remote, self.local, (self.remote_port, self.local_port)),
            Direction::Leaving => (self.local, self.remote, (self.local_port, self.remote_port)),
        };
        let frame = match self.protocol {
            Protocol::Tcp => Frame::tcp(from, to).sequence(self.sequence),
            Protocol::Udp => Frame::udp(from, to),
        };
        (frame.ports(ports.0, ports.1), direction == self.begun)
    }

    /// This machine's port.
    pub(super) fn local(&self) -> Port {
        Port { protocol: self.protocol, number: self.local_port }
    }
}
