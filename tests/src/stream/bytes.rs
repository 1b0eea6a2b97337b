//! Streams that bytes say, so that a fuzzer can change one packet at a time.

use super::rules::{OTHER, PROTOCOLS, PUBLIC, destinations, random, sources};
use super::traffic::{BEGIN_MS, FIXTURES, limits_ms};
use super::{Direction, Stream, TimedFrame};
use crate::model::{Content, Opens, Parsed, Port, Protocol, Rules, Segment, parse};
use crate::packet::Frame;
use crate::packet::numbers::*;
use fastrand::Rng;
use std::net::IpAddr;

/// Fewer packets than would fill any table's set: the model has no bounds.
const PACKETS: usize = 64;
/// Bytes that say a packet.
const PACKET: usize = 8;

impl Stream {
    /// Two bytes for the rules, then eight for each packet.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (seed, packets) = bytes.split_at(bytes.len().min(2));
        let seed = seed.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        let rules = random(&mut Rng::with_seed(seed));
        let (ports, limits_ms) = (ports(&rules), limits_ms(&rules));
        let mut clock = Clock { now_ms: BEGIN_MS, sent: Vec::new() };
        let (packets, _) = packets.as_chunks::<PACKET>();
        let packets = packets.iter().take(PACKETS).map(|packet| {
            let (frame, direction) = frame(packet, &ports);
            TimedFrame { at_ms: clock.stamp(gap_ms(packet[0], &limits_ms), &frame), direction, frame }
        });
        let packets = packets.collect();
        Self { seed, rules, packets }
    }
}

/// Who sends to whom, in which direction, with how many headers around it, and what about it is a lie.
fn frame(
    &[_, who, kind, port, own, flags, shape, lie]: &[u8; PACKET],
    ports: &[Port],
) -> (Vec<u8>, Direction) {
    let ends = Ends::of(who, own, ports[usize::from(port) % ports.len()]);
    let frame = match kind & 7 {
        0..5 => shaped(ends.packet(flags), shape, &ends).ttl(57 + (kind >> 6)),
        5 => Frame::icmp(ends.from(), ends.to()),
        6 => Frame::protocol(ends.from(), ends.to(), PROTOCOLS[usize::from(flags) % PROTOCOLS.len()]),
        _ => {
            let number = usize::from(flags) << 8 | usize::from(shape);
            return (FIXTURES[number % FIXTURES.len()].clone(), ends.direction);
        }
    };
    let mut frame = if kind & 8 != 0 { frame.vlan(CTAG, 0) } else { frame }.build();
    if kind & 16 != 0 {
        let place = usize::from(lie) % frame.len();
        frame[place] ^= flags;
    }
    (frame, ends.direction)
}

/// A millisecond passes before a source sends a packet again that it has sent before others. An attempt that begins anew
/// by the same packet in the same millisecond is not told from the one before it.
struct Clock {
    now_ms: u64,
    /// In this millisecond.
    sent: Vec<Segment>,
}

impl Clock {
    /// When the frame comes that is sent `gap_ms` behind the one before.
    fn stamp(&mut self, gap_ms: u64, frame: &[u8]) -> u64 {
        self.pass(gap_ms);
        if let Parsed::Ip { content: Content::Segment(segment), .. } = parse(frame) {
            let same = |sent: &Segment| {
                (sent.source, sent.port, sent.source_port, sent.sequence)
                    == (segment.source, segment.port, segment.source_port, segment.sequence)
            };
            if self.sent.iter().any(same) && !self.sent.last().is_some_and(same) {
                self.pass(1);
            }
            self.sent.push(segment);
        }
        self.now_ms
    }

    fn pass(&mut self, milliseconds: u64) {
        if milliseconds > 0 {
            self.now_ms += milliseconds;
            self.sent.clear();
        }
    }
}

/// Ports that mean something under the rules, and some that don't.
fn ports(rules: &Rules) -> Vec<Port> {
    let mut ports: Vec<Port> = rules.doors.iter().flat_map(|door| door.sequence.clone()).collect();
    let opened = rules.doors.iter().filter_map(|door| match &door.opens {
        Opens::Ports(ranges) => ranges.first(),
        Opens::Nothing | Opens::Any => None,
    });
    ports.extend(opened.map(|range| Port { protocol: range.protocol, number: range.first }));
    ports.extend(PUBLIC);
    ports.extend(OTHER);
    ports
}

/// Nothing, a moment, or as long as something lasts.
fn gap_ms(byte: u8, limits_ms: &[u64]) -> u64 {
    let limit = limits_ms[usize::from(byte >> 3) % limits_ms.len()];
    match byte & 7 {
        0..4 => u64::from(byte >> 3),
        4 => limit / 2,
        5 => limit - 1,
        6 => limit,
        _ => limit + 1,
    }
}

/// Between whom a packet goes.
struct Ends {
    remote: IpAddr,
    remote_port: u16,
    local: IpAddr,
    port: Port,
    sequence: u32,
    direction: Direction,
}

impl Ends {
    fn of(who: u8, own: u8, port: Port) -> Self {
        let remote = sources()[usize::from(who & 3)];
        let family = if remote.is_ipv4() { 0 } else { 2 };
        Self {
            remote,
            remote_port: [40_000, 40_001, 53, 443][usize::from(own & 3)],
            local: destinations()[family + usize::from(who >> 2 & 1)],
            port,
            sequence: u32::from(own >> 2),
            direction: if who & 8 != 0 { Direction::Leaving } else { Direction::Arriving },
        }
    }

    fn from(&self) -> IpAddr {
        self.by_direction(self.remote, self.local)
    }

    fn to(&self) -> IpAddr {
        self.by_direction(self.local, self.remote)
    }

    fn by_direction<T>(&self, arriving: T, leaving: T) -> T {
        match self.direction {
            Direction::Arriving => arriving,
            Direction::Leaving => leaving,
        }
    }

    fn packet(&self, flags: u8) -> Frame {
        let frame = match self.port.protocol {
            Protocol::Tcp => Frame::tcp(self.from(), self.to()).sequence(self.sequence).flags(flags),
            Protocol::Udp => Frame::udp(self.from(), self.to()),
        };
        let (remote, local) = (self.remote_port, self.port.number);
        frame.ports(self.by_direction(remote, local), self.by_direction(local, remote))
    }
}

/// With payload, options and fragmentation as one byte says.
fn shaped(frame: Frame, shape: u8, ends: &Ends) -> Frame {
    let frame = if shape & 1 != 0 { frame.payload(b"data") } else { frame };
    let frame = if shape & 2 != 0 { frame.padding(6) } else { frame };
    let frame = match shape & 4 != 0 && !ends.remote.is_ipv4() {
        true => frame.extension(DESTINATION_OPTIONS, 8),
        false => frame,
    };
    if shape & 8 != 0 { frame.fragment(u16::from(shape >> 5), shape & 16 != 0) } else { frame }
}
