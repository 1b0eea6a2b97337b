//! One source's way through the doors' sequences.
//!
//! Where the text leaves room, the model reads it so:
//! - A completed attempt is no attempt to anything but a repeat of its last knock: any other hit, and what would reset
//!   an attempt, ends it.
//! - The doors of an attempt are all at one step: where a packet of another hop limit is a knock of some of them, those
//!   with `same_ttl` leave.
//! - Starting over on the first port is not a reset, so it happens on ports open to the source too.

use super::parser::Segment;
use super::rules::{Door, Policy, Port, Rules};
use std::collections::HashMap;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When the first knock came.
    pub start_ms: u64,
    /// The first knock's TTL or hop limit.
    pub hop_limit: u8,
    /// The doors that still fit, by index in ascending order, each with the number of steps taken.
    pub doors: Vec<(usize, usize)>,
    pub knocks: Vec<Knock>,
    /// All of `doors` have been opened; kept so that a repeat of the last knock is known.
    pub completed: bool,
}

/// A knock that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    pub port: Port,
    pub source_port: u16,
    /// 0 for UDP.
    pub sequence: u32,
}

/// Source -> its attempt.
pub(super) type Attempts = HashMap<IpAddr, Attempt>;

/// Shows one packet that is not public, no fragment and no part of a flow to the matcher; gives the doors that it
/// completes. `resets`: unless its port is exempt; `false` where that is open to the source, or the packet is asked for.
pub(super) fn take(
    attempts: &mut Attempts,
    rules: &Rules,
    now_ms: u64,
    packet: &Segment,
    resets: bool,
) -> Vec<usize> {
    forget_timed_out(attempts, rules, now_ms, packet.source);
    let may_reset = resets && !is_exempt(rules, packet.port);
    if !rules.is_knock_port(packet.port) {
        if may_reset && is_wrong(rules, packet) && !is_ignored(attempts, rules, packet) {
            attempts.remove(&packet.source);
        }
        return Vec::new();
    }
    if !is_hit(rules, packet) {
        return Vec::new();
    }
    match attempts.get_mut(&packet.source) {
        Some(attempt) if attempt.completed => {
            if attempt.is_repeat_of_last(packet) {
                return Vec::new();
            }
            attempts.remove(&packet.source);
            start(attempts, rules, now_ms, packet)
        }
        Some(attempt) => match attempt.step(rules, packet) {
            Step::Taken => attempt.complete(rules),
            Step::Nothing => Vec::new(),
            Step::StartOver => start(attempts, rules, now_ms, packet),
            Step::Wrong if may_reset => {
                attempts.remove(&packet.source);
                start(attempts, rules, now_ms, packet)
            }
            Step::Wrong => Vec::new(),
        },
        None => start(attempts, rules, now_ms, packet),
    }
}

/// Whether the packet is a knock of some door, at whatever step.
pub(super) fn is_hit(rules: &Rules, packet: &Segment) -> bool {
    !packet.fragment
        && rules.doors.iter().any(|door| door.sequence.contains(&packet.port) && is_met(door, packet))
}

fn is_met(door: &Door, packet: &Segment) -> bool {
    (!packet.is_tcp() || door.flags.met_by(packet.flags))
        && (door.target.is_empty() || door.target.contains(&packet.destination))
}

fn is_exempt(rules: &Rules, port: Port) -> bool {
    rules.opened_by_some_door(port) || (rules.policy == Policy::Pass && rules.listeners.contains(&port))
}

/// Whether a packet on a port that is no step of any door resets.
fn is_wrong(rules: &Rules, packet: &Segment) -> bool {
    rules.strict
        && (!packet.is_tcp()
            || packet.opens_connection()
            || rules.doors.iter().any(|door| door.flags.met_by(packet.flags)))
}

/// Whether a reset goes unheard: the packet came another way than the first knock.
fn is_ignored(attempts: &Attempts, rules: &Rules, packet: &Segment) -> bool {
    attempts.get(&packet.source).is_some_and(|attempt| {
        !attempt.completed && attempt.doors.iter().any(|&(door, _)| attempt.is_deaf(rules, door, packet))
    })
}

fn forget_timed_out(attempts: &mut Attempts, rules: &Rules, now_ms: u64, source: IpAddr) {
    let Some(attempt) = attempts.get_mut(&source) else { return };
    attempt.doors.retain(|&(door, _)| now_ms - attempt.start_ms <= rules.doors[door].seq_timeout_ms);
    if attempt.doors.is_empty() {
        attempts.remove(&source);
    }
}

/// Begins an attempt if the packet is the first knock of some door, in the place of one that was there.
fn start(attempts: &mut Attempts, rules: &Rules, now_ms: u64, packet: &Segment) -> Vec<usize> {
    let doors: Vec<_> = (0..rules.doors.len())
        .filter(|&door| rules.doors[door].sequence[0] == packet.port && is_met(&rules.doors[door], packet))
        .map(|door| (door, 1))
        .collect();
    if doors.is_empty() {
        return Vec::new();
    }
    let knocks = vec![Knock::of(packet)];
    let mut attempt =
        Attempt { start_ms: now_ms, hop_limit: packet.hop_limit, doors, knocks, completed: false };
    let completed = attempt.complete(rules);
    attempts.insert(packet.source, attempt);
    completed
}

enum Step {
    Taken,
    Nothing,
    StartOver,
    Wrong,
}

impl Attempt {
    fn step(&mut self, rules: &Rules, packet: &Segment) -> Step {
        let knock = Knock::of(packet);
        if packet.is_tcp() && self.knocks.contains(&knock) {
            return Step::Nothing;
        }
        let deaf: Vec<usize> = self
            .doors
            .iter()
            .map(|&(door, _)| door)
            .filter(|&door| self.is_deaf(rules, door, packet))
            .collect();
        let advances = |&(door, step): &(usize, usize)| {
            let door_rules = &rules.doors[door];
            !deaf.contains(&door)
                && door_rules.sequence.get(step) == Some(&packet.port)
                && is_met(door_rules, packet)
        };
        if self.doors.iter().any(advances) {
            self.doors.retain(advances);
            for alive in &mut self.doors {
                alive.1 += 1;
            }
            self.knocks.push(knock);
            return Step::Taken;
        }
        if !deaf.is_empty() {
            return Step::Nothing;
        }
        let taken = self.doors.iter().any(|&(door, step)| {
            let sequence = &rules.doors[door].sequence;
            sequence[..step].contains(&packet.port)
        });
        if !taken {
            return Step::Wrong;
        }
        let first = rules.doors[self.doors[0].0].sequence[0];
        if packet.port == first && !self.knocks.contains(&knock) { Step::StartOver } else { Step::Nothing }
    }

    /// Gives the doors that stand at their last step; if there are any, the attempt is done with the others.
    fn complete(&mut self, rules: &Rules) -> Vec<usize> {
        let at_end = |&(door, step): &(usize, usize)| step == rules.doors[door].sequence.len();
        let completed: Vec<usize> =
            self.doors.iter().filter(|alive| at_end(alive)).map(|&(door, _)| door).collect();
        if !completed.is_empty() {
            self.completed = true;
            self.doors.retain(at_end);
        }
        completed
    }

    /// With `same_ttl` a door does not hear packets of another hop limit than the first knock's.
    fn is_deaf(&self, rules: &Rules, door: usize, packet: &Segment) -> bool {
        rules.doors[door].same_ttl && packet.hop_limit != self.hop_limit
    }

    fn is_repeat_of_last(&self, packet: &Segment) -> bool {
        self.knocks.last() == Some(&Knock::of(packet))
    }
}

impl Knock {
    /// TCP repeats share port, source port and sequence number; UDP ones port and source port, the sequence being 0.
    fn of(packet: &Segment) -> Self {
        Self { port: packet.port, source_port: packet.source_port, sequence: packet.sequence }
    }
}
