//! What says no port: control messages, other protocols, later fragments; and answers to what was broadcast.

use super::Direction;
use super::rules::{PROTOCOLS, chance, pick};
use crate::packet::Frame;
use crate::packet::numbers::*;
use fastrand::Rng;
use std::net::IpAddr;

/// One packet between the two; most arrive.
pub(super) fn packet(random: &mut Rng, remote: IpAddr, local: IpAddr) -> (Frame, Direction) {
    let direction = if chance(random, 25) { Direction::Leaving } else { Direction::Arriving };
    let (from, to) = if direction == Direction::Arriving { (remote, local) } else { (local, remote) };
    let frame = match random.u32(0..20) {
        0..5 => Frame::icmp(from, to),
        5..9 => control_message(random, from, to),
        9..12 => Frame::protocol(from, to, pick(random, &PROTOCOLS)).payload(&[0; 20]),
        12 => Frame::igmp(from, to),
        13 if from.is_ipv4() => Frame::udp(from, to).ports(67, 68),
        13 => Frame::udp("fe80::1".parse().expect("an address"), to).ports(547, 546),
        14 => Frame::udp(from, to).ports(547, 546),
        15 => Frame::udp(from, to).ports(68, 67),
        _ => Frame::udp(from, to).payload(&[0; 16]).fragment(pick(random, &[2, 3, 185]), chance(random, 50)),
    };
    (frame, direction)
}

/// Of any type, at times with nothing in it or as a fragment.
fn control_message(random: &mut Rng, from: IpAddr, to: IpAddr) -> Frame {
    let kind = pick(random, &[0, 3, 8, 11, 13, 15, 17, 128, 129, 133, 135, 139]);
    let frame = Frame::protocol(from, to, if from.is_ipv4() { ICMP } else { ICMPV6 });
    let frame = if chance(random, 90) { frame.payload(&[kind, 0, 0, 0, 0, 0, 0, 0]) } else { frame };
    if chance(random, 20) { frame.fragment(0, true) } else { frame }
}
