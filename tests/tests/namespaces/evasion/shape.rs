//! One way to dress a packet up.

use std::net::IpAddr;

use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{TCP, UDP};

use crate::site::Knock;

/// What the sender is after: a port of the server.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    pub from: IpAddr,
    pub to: IpAddr,
    pub source_port: u16,
    pub at: Knock,
}

/// What becomes of a shape.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// The server's kernel takes it for the service behind the port when no filter is there.
    pub is_delivered: bool,
    /// The contract takes it for a knock.
    pub is_knock: bool,
}

/// A packet's contents, dressed up to be taken for something else.
pub struct Shape {
    pub name: String,
    pub fate: Fate,
    dress: Box<dyn Fn(Aim) -> Option<Vec<Vec<u8>>>>,
}

/// The shapes of every kind.
#[derive(Default)]
pub struct Shapes(Vec<Shape>);

pub const TAKEN: Fate = Fate { is_delivered: true, is_knock: true };
pub const DELIVERED: Fate = Fate { is_delivered: true, is_knock: false };
pub const KNOCK_ONLY: Fate = Fate { is_delivered: false, is_knock: true };
pub const LOST: Fate = Fate { is_delivered: false, is_knock: false };

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

impl Shape {
    /// The frames that carry it; `None` where there is no such thing in the aim's protocols.
    pub fn dress(&self, aim: Aim) -> Option<Vec<Vec<u8>>> {
        (self.dress)(aim)
    }
}

impl Shapes {
    /// Of one frame, in every protocol.
    pub fn one(&mut self, name: impl Into<String>, fate: Fate, dress: impl Fn(Aim) -> Frame + 'static) {
        self.some(name, fate, move |aim| Some(vec![dress(aim).build()]));
    }

    /// Of one frame over TCP.
    pub fn tcp(&mut self, name: impl Into<String>, fate: Fate, dress: impl Fn(Aim) -> Frame + 'static) {
        self.some(name, fate, move |aim| aim.is_tcp().then(|| vec![dress(aim).build()]));
    }

    /// Of one frame over UDP.
    pub fn udp(&mut self, name: impl Into<String>, fate: Fate, dress: impl Fn(Aim) -> Frame + 'static) {
        self.some(name, fate, move |aim| (!aim.is_tcp()).then(|| vec![dress(aim).build()]));
    }

    /// Of one frame in IPv4.
    pub fn v4(&mut self, name: impl Into<String>, fate: Fate, dress: impl Fn(Aim) -> Frame + 'static) {
        self.some(name, fate, move |aim| aim.is_ipv4().then(|| vec![dress(aim).build()]));
    }

    /// Of one frame in IPv6.
    pub fn v6(&mut self, name: impl Into<String>, fate: Fate, dress: impl Fn(Aim) -> Frame + 'static) {
        self.some(name, fate, move |aim| (!aim.is_ipv4()).then(|| vec![dress(aim).build()]));
    }

    /// Of any number of frames, where there is such a thing.
    pub fn some(
        &mut self,
        name: impl Into<String>,
        fate: Fate,
        dress: impl Fn(Aim) -> Option<Vec<Vec<u8>>> + 'static,
    ) {
        self.0.push(Shape { name: name.into(), fate, dress: Box::new(dress) });
    }

    pub fn done(self) -> Vec<Shape> {
        self.0
    }
}
