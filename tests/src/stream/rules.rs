//! Rule sets that a configuration file could say.

use crate::model::{
    Door, Established, FlagsCondition, FlowLives, Network, Opens, Policy, Port, PortRange, Rules, Scanners,
    Trusted,
};
use crate::packet::numbers::*;
use fastrand::Rng;
use std::net::IpAddr;

/// Whom the traffic comes from; the fixtures' sources are among them.
pub(super) fn sources() -> [IpAddr; 4] {
    ["192.0.2.7", "192.0.2.130", "203.0.113.9", "2001:db8::7"].map(|text| text.parse().expect("an address"))
}

/// Where it goes; the fixtures' destinations are among them.
pub(super) fn destinations() -> [IpAddr; 4] {
    ["198.51.100.1", "198.51.100.2", "2001:db8:1::1", "2001:db8:1::2"]
        .map(|text| text.parse().expect("an address"))
}

const STEPS: [Port; 7] = [
    Port::tcp(7000),
    Port::tcp(7001),
    Port::tcp(9000),
    Port::udp(7000),
    Port::udp(8000),
    Port::udp(8001),
    Port::tcp(22),
];
const OPENED: [Port; 4] = [Port::tcp(22), Port::tcp(8081), Port::tcp(2222), Port::udp(5353)];
pub(super) const PUBLIC: [Port; 2] = [Port::tcp(80), Port::udp(443)];
/// Ports of no sequence; some are protected, some have a listener.
pub(super) const OTHER: [Port; 5] =
    [Port::tcp(8080), Port::tcp(3306), Port::tcp(12_345), Port::udp(12_345), Port::udp(53)];

/// IP protocols that neither policy knows by itself.
pub(super) const PROTOCOLS: [u8; 3] = [GRE, ESP, SCTP];

const FLAGS: [FlagsCondition; 6] = [
    FlagsCondition::ANY,
    FlagsCondition { set: SYN, clear: 0 },
    FlagsCondition { set: SYN | ACK, clear: 0 },
    FlagsCondition { set: ACK, clear: SYN },
    FlagsCondition { set: FIN, clear: SYN | ACK },
    FlagsCondition { set: RST, clear: 0 },
];

pub(super) fn random(random: &mut Rng) -> Rules {
    let mut rules = Rules {
        policy: if chance(random, 50) { Policy::Drop } else { Policy::Pass },
        protocols: if chance(random, 30) { vec![pick(random, &PROTOCOLS)] } else { Vec::new() },
        ping: !chance(random, 40),
        enforce: !chance(random, 20),
        strict: !chance(random, 25),
        established: if chance(random, 25) { Established::Cut } else { Established::Keep },
        public: PUBLIC.map(PortRange::from).to_vec(),
        ..Rules::default()
    };
    let count = random.usize(1..=6);
    for _ in 0..count {
        let door = door(random, &rules.doors);
        rules.doors.extend(door);
    }
    for door in 0..rules.doors.len() {
        if chance(random, 20) {
            rules.doors[door].revokes = vec![random.usize(0..rules.doors.len())];
        }
    }
    if chance(random, 50) {
        rules.protected = vec![PortRange { first: 8080, last: 8090, ..PortRange::from(Port::tcp(8080)) }];
    }
    if chance(random, 20) {
        rules.protected.push(PortRange::from(pick(random, &STEPS)));
    }
    if chance(random, 30) {
        rules.trusted = vec![trusted(random)];
    }
    if chance(random, 15) {
        rules.destinations = Some(destinations().into_iter().step_by(2).collect());
    }
    if chance(random, 60) {
        rules.listeners =
            [Port::tcp(3306), pick(random, &STEPS), pick(random, &OTHER), Port::udp(5353)].into();
    }
    if chance(random, 35) {
        rules.scanners = Some(Scanners {
            ports: random.usize(1..=6),
            within_ms: pick(random, &[500, 10_000]),
            hold_ms: pick(random, &[1_000, 20_000, 600_000]),
            include_public: chance(random, 30),
        });
    }
    if chance(random, 40) {
        rules.flow_lives = FlowLives {
            established_ms: 60_000,
            closing_ms: 10_000,
            udp_ms: pick(random, &[1_000, 20_000]),
            icmp_ms: pick(random, &[500, 5_000]),
            ..rules.flow_lives
        };
    }
    rules
}

/// `None` where the doors already there leave no room.
fn door(random: &mut Rng, others: &[Door]) -> Option<Door> {
    for _ in 0..50 {
        let target = if chance(random, 20) {
            let family = random.usize(0..2) * 2;
            vec![destinations()[family + random.usize(0..2)]]
        } else {
            Vec::new()
        };
        let sequence = sequence(random, others);
        let fits = others.iter().all(|other| {
            let shared = other.sequence.len().min(sequence.len());
            other.sequence[..shared] != sequence[..shared]
                || (other.sequence.len() == sequence.len() && are_apart(&other.target, &target))
        });
        if !fits {
            continue;
        }
        let opens = match random.u32(0..10) {
            0 => Opens::Nothing,
            1 => Opens::Any,
            2 => Opens::Ports(OPENED.map(PortRange::from).to_vec()),
            _ => Opens::Ports(vec![PortRange::from(pick(random, &OPENED))]),
        };
        return Some(Door {
            sequence,
            seq_timeout_ms: pick(random, &[500, 2_000, 10_000, 60_000]),
            flags: if chance(random, 30) { pick(random, &FLAGS) } else { FlagsCondition::CONNECT },
            same_ttl: chance(random, 20),
            target,
            opens,
            open_for_ms: pick(random, &[Some(1_000), Some(30_000), Some(60_000), None]),
            connections: pick(random, &[0, 0, 0, 1, 2]),
            revokes: Vec::new(),
        });
    }
    None
}

/// Whether no knock can meet both targets.
pub(super) fn are_apart(first: &[IpAddr], second: &[IpAddr]) -> bool {
    !first.is_empty() && !second.is_empty() && !first.iter().any(|address| second.contains(address))
}

/// Often with the beginning of another door's, sometimes with a port again and again.
fn sequence(random: &mut Rng, others: &[Door]) -> Vec<Port> {
    let mut sequence = Vec::new();
    if !others.is_empty() && chance(random, 40) {
        let other = &others[random.usize(0..others.len())].sequence;
        sequence.extend(&other[..random.usize(1..=other.len())]);
    }
    let length = sequence.len().max(pick(random, &[1, 2, 3, 3, 3, 4, 5, 6]));
    while sequence.len() < length {
        let step = match sequence.last() {
            Some(&last) if chance(random, 15) => last,
            _ => pick(random, &STEPS),
        };
        sequence.push(step);
    }
    sequence
}

fn trusted(random: &mut Rng) -> Trusted {
    let from = match random.u32(0..3) {
        0 => Network { address: sources()[0], prefix_length: 32 },
        1 => Network { address: sources()[1], prefix_length: 25 },
        _ => Network { address: sources()[3], prefix_length: 64 },
    };
    let to =
        chance(random, 50).then(|| vec![PortRange::from(pick(random, &OPENED)), PortRange::from(OTHER[0])]);
    Trusted { from, to }
}

pub(super) fn chance(random: &mut Rng, percent: u32) -> bool {
    random.u32(0..100) < percent
}

pub(super) fn pick<T: Clone>(random: &mut Rng, from: &[T]) -> T {
    from[random.usize(0..from.len())].clone()
}
