//! Clients that knock, connect, repeat themselves and blunder, and a machine that has business of its own.

use super::client::Client;
use super::rules::{chance, pick, sources};
use super::{Direction, TimedFrame};
use crate::fixtures;
use crate::model::Rules;
use fastrand::Rng;
use std::sync::LazyLock;

/// The fixtures that are ordinary in size.
pub(super) static FIXTURES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    fixtures::all().into_iter().map(|it| it.frame).filter(|frame| frame.len() < 1500).collect()
});

/// What the clock of a stream shows at its beginning.
pub(super) const BEGIN_MS: u64 = 1_000_000;

/// An endless sequence of packets.
pub(super) struct Traffic<'a> {
    rules: &'a Rules,
    random: Rng,
    now_ms: u64,
    /// Times at which something ends.
    limits_ms: Vec<u64>,
    clients: Vec<Client>,
}

impl<'a> Traffic<'a> {
    pub(super) fn new(rules: &'a Rules, mut random: Rng) -> Self {
        let clients = sources().map(|source| Client::new(&mut random, source));
        Self { rules, random, now_ms: BEGIN_MS, limits_ms: limits_ms(rules), clients: clients.into() }
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
        let (frame, direction) = match random.u32(0..100) {
            0..3 => {
                let leaves = chance(random, 30);
                (pick(random, &FIXTURES), if leaves { Direction::Leaving } else { Direction::Arriving })
            }
            3..12 => client.is_talked_to(rules, random),
            12..19 => client.noise(random),
            19..38 if client.has_talks() => client.go_on(random),
            38..50 => client.connect(rules, random),
            50..59 => client.blunder(rules, random),
            59..65 if client.has_sent() => client.repeat(random),
            _ => client.knock(rules, random),
        };
        Some(TimedFrame { at_ms: self.now_ms, direction, frame })
    }
}

/// Times at which something ends under these rules.
pub(super) fn limits_ms(rules: &Rules) -> Vec<u64> {
    let lives = rules.flow_lives;
    let mut limits_ms = vec![1_000, lives.half_open_ms, lives.established_ms, lives.closing_ms];
    limits_ms.extend([lives.udp_ms, lives.icmp_ms]);
    limits_ms.extend(rules.scanners.iter().flat_map(|scanners| [scanners.within_ms, scanners.hold_ms]));
    for door in &rules.doors {
        limits_ms.push(door.seq_timeout_ms);
        limits_ms.extend(door.open_for_ms);
    }
    limits_ms
}
