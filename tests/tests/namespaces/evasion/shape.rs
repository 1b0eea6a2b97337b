//! One way to dress a packet up.

use knock_tests::packet::Frame;

use crate::site::Aim;

/// What becomes of a shape.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// The server's kernel takes it for the service behind the port when no filter is there.
    pub is_delivered: bool,
    /// By the rules it is a knock.
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
