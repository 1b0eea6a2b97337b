//! Clients that knock, connect, repeat themselves and blunder.

use super::TimedFrame;
use super::rules::{OTHER, PUBLIC, chance, destinations, pick, sources};
use crate::fixtures;
use crate::model::{Door, Opens, Port, PortRange, Protocol, Rules};
use crate::packet::Frame;
use crate::packet::numbers::*;
use fastrand::Rng;
use std::net::IpAddr;
use std::sync::LazyLock;

/// The fixtures that are ordinary in size.
static FIXTURES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    fixtures::all().into_iter().map(|it| it.frame).filter(|frame| frame.len() < 1500).collect()
});

/// An endless sequence of packets.
pub(super) struct Traffic<'a> {
    rules: &'a Rules,
    random: Rng,
    now_ms: u64,
    /// Times at which something ends.
    limits_ms: Vec<u64>,
    clients: Vec<Client>,
}

struct Client {
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
    /// The SYNs of its connections.
    connections: Vec<Frame>,
}

impl<'a> Traffic<'a> {
    pub(super) fn new(rules: &'a Rules, mut random: Rng) -> Self {
        let lives = rules.flow_lives;
        let mut limits_ms = vec![1_000, lives.half_open_ms, lives.established_ms, lives.closing_ms];
        for door in &rules.doors {
            limits_ms.push(door.seq_timeout_ms);
            limits_ms.extend(door.open_for_ms);
        }
        let clients = sources().map(|source| Client {
            source,
            hop_limit: pick(&mut random, &[57, 64, 128]),
            source_port: random.u16(32_768..60_000),
            sequence: random.u32(..),
            plan: None,
            behind: None,
            sent: Vec::new(),
            connections: Vec::new(),
        });
        Self { rules, random, now_ms: 1_000_000, limits_ms, clients: clients.into() }
    }

    fn gap_ms(&mut self) -> u64 {
        let random = &mut self.random;
        match random.u32(0..100) {
            0..50 => 0,
            50..85 => random.u64(1..=40),
            85..93 => random.u64(200..=1_000),
            93..97 => pick(random, &self.limits_ms) / 2,
            97..99 => (pick(random, &self.limits_ms) + random.u64(0..3)).saturating_sub(1),
            _ => random.u64(0..200_000),
        }
    }
}

impl Iterator for Traffic<'_> {
    type Item = TimedFrame;

    fn next(&mut self) -> Option<TimedFrame> {
        self.now_ms += self.gap_ms();
        let (rules, random) = (self.rules, &mut self.random);
        let client = random.usize(0..self.clients.len());
        let client = &mut self.clients[client];
        let frame = match random.u32(0..100) {
            0..8 if !client.sent.is_empty() => pick(random, &client.sent),
            8..11 => pick(random, &FIXTURES),
            11..33 if !client.connections.is_empty() => client.go_on(random),
            33..46 => client.connect(rules, random),
            46..53 => client.blunder(rules, random),
            _ => client.knock(rules, random),
        };
        if client.sent.len() == 6 {
            client.sent.remove(0);
        }
        client.sent.push(frame.clone());
        Some(TimedFrame { at_ms: self.now_ms, frame })
    }
}

impl Client {
    /// The next knock of its plan; at times it skips or repeats one, or comes another way.
    fn knock(&mut self, rules: &Rules, random: &mut Rng) -> Vec<u8> {
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
        self.finish(random, frame)
    }

    /// A SYN or a datagram to a port that may be open.
    fn connect(&mut self, rules: &Rules, random: &mut Rng) -> Vec<u8> {
        let port = match self.behind.map(|door| &rules.doors[door].opens) {
            Some(Opens::Ports(ranges)) if !chance(random, 20) => first_of(&pick(random, ranges)),
            Some(Opens::Any) if !rules.protected.is_empty() => first_of(&pick(random, &rules.protected)),
            _ if chance(random, 30) => pick(random, &PUBLIC),
            _ => pick(random, &[Port::tcp(22), Port::tcp(8080), Port::tcp(8081), Port::udp(5353)]),
        };
        self.renew(random);
        let mut frame = self.packet(random, port, None);
        if port.protocol == Protocol::Tcp {
            if chance(random, 5) {
                frame = frame.fragment(0, true);
            }
            if self.connections.len() == 4 {
                self.connections.remove(0);
            }
            self.connections.push(frame.clone());
        }
        self.finish(random, frame)
    }

    /// A later packet of a connection, its SYN once more, or another SYN on its five-tuple.
    fn go_on(&mut self, random: &mut Rng) -> Vec<u8> {
        let syn = pick(random, &self.connections);
        let frame = match random.u32(0..20) {
            0..3 => syn,
            3 => syn.sequence(random.u32(..)),
            4..9 => syn.flags(ACK),
            9..15 => syn.flags(PSH | ACK).payload(b"data"),
            15..17 => syn.flags(FIN | ACK),
            17 => syn.flags(RST),
            18 => syn.flags(SYN | ACK),
            _ => syn.flags(FIN | ACK).payload(b"last"),
        };
        frame.build()
    }

    /// Anything to anywhere.
    fn blunder(&mut self, rules: &Rules, random: &mut Rng) -> Vec<u8> {
        let mut ports = OTHER.to_vec();
        ports.extend(rules.doors.iter().flat_map(|door| &door.sequence));
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
        self.finish(random, frame)
    }

    fn packet(&self, random: &mut Rng, port: Port, door: Option<&Door>) -> Frame {
        let family = if self.source.is_ipv4() { 0 } else { 2 };
        let mut destination = destinations()[family + usize::from(chance(random, 10))];
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

    fn renew(&mut self, random: &mut Rng) {
        if chance(random, 80) {
            self.source_port = random.u16(32_768..60_000);
        }
        self.sequence = random.u32(..);
    }

    /// What does not change what a packet means, and the way that it took.
    fn finish(&self, random: &mut Rng, frame: Frame) -> Vec<u8> {
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
        frame.build()
    }
}

fn first_of(range: &PortRange) -> Port {
    Port { protocol: range.protocol, number: range.first }
}
