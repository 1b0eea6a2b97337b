//! One remote machine, and what this one has to do with it.

use super::rules::{OTHER, PUBLIC, chance, destinations, pick};
use super::talk::Talk;
use super::{Direction, noise};
use crate::model::{Door, Opens, Port, PortRange, Protocol, Rules};
use crate::packet::Frame;
use crate::packet::numbers::*;
use fastrand::Rng;
use std::net::IpAddr;

pub(super) struct Client {
    source: IpAddr,
    hop_limit: u8,
    source_port: u16,
    sequence: u32,
    /// The door it is knocking at, and the next step.
    plan: Option<(usize, usize)>,
    /// The door that it last knocked to the end.
    behind: Option<usize>,
    /// What it sent lately.
    sent: Vec<Vec<u8>>,
    /// Its latest connections.
    talks: Vec<Talk>,
}

/// A frame, and where it goes.
type Sent = (Vec<u8>, Direction);

const REMEMBERED: usize = 6;

impl Client {
    pub(super) fn new(random: &mut Rng, source: IpAddr) -> Self {
        Self {
            source,
            hop_limit: pick(random, &[57, 64, 128]),
            source_port: random.u16(32_768..60_000),
            sequence: random.u32(..),
            plan: None,
            behind: None,
            sent: Vec::new(),
            talks: Vec::new(),
        }
    }

    pub(super) fn has_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    pub(super) fn has_talks(&self) -> bool {
        !self.talks.is_empty()
    }

    pub(super) fn repeat(&self, random: &mut Rng) -> Sent {
        (pick(random, &self.sent), Direction::Arriving)
    }

    /// The next knock of its plan; at times it skips or repeats one, or comes another way.
    pub(super) fn knock(&mut self, rules: &Rules, random: &mut Rng) -> Sent {
        let (door, step) = self.plan.unwrap_or_else(|| (random.usize(0..rules.doors.len()), 0));
        let sequence = &rules.doors[door].sequence;
        let next = if chance(random, 3) { step } else { step + 1 };
        self.plan = (next < sequence.len() && !chance(random, 3)).then_some((door, next));
        if next >= sequence.len() {
            self.behind = Some(door);
        }
        if !chance(random, 8) {
            self.renew(random);
        }
        let frame = self.packet(random, sequence[step], Some(&rules.doors[door]));
        self.send(random, frame)
    }

    /// A SYN or a datagram to a port that may be open.
    pub(super) fn connect(&mut self, rules: &Rules, random: &mut Rng) -> Sent {
        let port = match self.behind.map(|door| &rules.doors[door].opens) {
            Some(Opens::Ports(ranges)) if !chance(random, 20) => first_of(&pick(random, ranges)),
            Some(Opens::Any) if !rules.protected.is_empty() => first_of(&pick(random, &rules.protected)),
            _ if chance(random, 30) => pick(random, &PUBLIC),
            _ => pick(random, &[Port::tcp(22), Port::tcp(8080), Port::tcp(8081), Port::udp(5353)]),
        };
        self.renew(random);
        let talk = Talk {
            protocol: port.protocol,
            remote: self.source,
            remote_port: self.source_port,
            local: self.local(random),
            local_port: port.number,
            sequence: self.sequence,
            begun: Direction::Arriving,
        };
        self.remember(talk);
        let frame = talk.first();
        let frame = if chance(random, 4) { frame.fragment(0, true) } else { frame };
        self.send(random, frame)
    }

    /// This machine sends the first packet, from a port that may mean something else too.
    pub(super) fn is_talked_to(&mut self, rules: &Rules, random: &mut Rng) -> Sent {
        let mut ports =
            [&OTHER[..], &PUBLIC, &[Port::tcp(50_001), Port::udp(50_001), Port::udp(5353)]].concat();
        ports.extend(rules.doors.iter().flat_map(|door| &door.sequence));
        let port = pick(random, &ports);
        let talk = Talk {
            protocol: port.protocol,
            remote: self.source,
            remote_port: pick(random, &[53, 443, self.source_port]),
            local: self.local(random),
            local_port: port.number,
            sequence: random.u32(..),
            begun: Direction::Leaving,
        };
        self.remember(talk);
        (talk.first().build(), Direction::Leaving)
    }

    /// Either side of one of its connections goes on; seldom the port is that of another.
    pub(super) fn go_on(&mut self, random: &mut Rng) -> Sent {
        let mut talk = pick(random, &self.talks);
        if chance(random, 5) {
            talk.remote_port ^= 1;
        }
        let (frame, direction) = talk.go_on(random);
        match direction {
            Direction::Arriving => self.send(random, frame),
            Direction::Leaving => (frame.build(), direction),
        }
    }

    /// Anything to anywhere.
    pub(super) fn blunder(&mut self, rules: &Rules, random: &mut Rng) -> Sent {
        let mut ports = OTHER.to_vec();
        ports.extend(rules.doors.iter().flat_map(|door| &door.sequence));
        ports.extend(self.talks.iter().map(Talk::local));
        let port = pick(random, &ports);
        if chance(random, 70) {
            self.renew(random);
        }
        let mut frame = self.packet(random, port, None);
        if port.protocol == Protocol::Tcp {
            frame = frame.flags(pick(random, &[SYN, SYN, SYN, SYN | ACK, ACK, RST, FIN, 0, SYN | FIN]));
        }
        if chance(random, 10) {
            frame = frame.fragment(pick(random, &[0, 0, 1, 2]), true);
        }
        self.send(random, frame)
    }

    pub(super) fn noise(&mut self, random: &mut Rng) -> Sent {
        let local = self.local(random);
        let (frame, direction) = noise::packet(random, self.source, local);
        (frame.build(), direction)
    }

    fn packet(&self, random: &mut Rng, port: Port, door: Option<&Door>) -> Frame {
        let mut destination = self.local(random);
        let targets = door.map_or(&[][..], |door| &door.target);
        if let Some(target) = targets.iter().find(|target| target.is_ipv4() == self.source.is_ipv4()) {
            destination = *target;
        }
        match port.protocol {
            Protocol::Udp => Frame::udp(self.source, destination).ports(self.source_port, port.number),
            Protocol::Tcp => {
                let flags = door.map_or(SYN, |door| {
                    let free = pick(random, &[0, 0, 0, PSH, URG, ECE | CWR, ACK, SYN]);
                    door.flags.set | (free & !door.flags.clear)
                });
                Frame::tcp(self.source, destination)
                    .ports(self.source_port, port.number)
                    .sequence(self.sequence)
                    .flags(flags)
            }
        }
    }

    /// One of this machine's addresses.
    fn local(&self, random: &mut Rng) -> IpAddr {
        let family = if self.source.is_ipv4() { 0 } else { 2 };
        destinations()[family + usize::from(chance(random, 10))]
    }

    fn renew(&mut self, random: &mut Rng) {
        if chance(random, 80) {
            self.source_port = random.u16(32_768..60_000);
        }
        self.sequence = random.u32(..);
    }

    fn remember(&mut self, talk: Talk) {
        if self.talks.len() == REMEMBERED {
            self.talks.remove(0);
        }
        self.talks.push(talk);
    }

    /// The frame with what does not change its meaning, and by the way that it took.
    fn send(&mut self, random: &mut Rng, frame: Frame) -> Sent {
        let mut frame = frame.ttl(if chance(random, 6) { self.hop_limit - 1 } else { self.hop_limit });
        if chance(random, 8) {
            frame = frame.vlan(CTAG, 0);
        }
        if chance(random, 5) {
            frame = frame.padding(6);
        }
        if !self.source.is_ipv4() && chance(random, 8) {
            frame = frame.extension(DESTINATION_OPTIONS, 8);
        }
        let frame = frame.build();
        if self.sent.len() == REMEMBERED {
            self.sent.remove(0);
        }
        self.sent.push(frame.clone());
        (frame, Direction::Arriving)
    }
}

fn first_of(range: &PortRange) -> Port {
    Port { protocol: range.protocol, number: range.first }
}
