//! The same rules over the packets of a capture: the core in ordinary memory, by the packets' own clock.

mod capture;
mod effect;
mod frame;
mod link;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use knock_common::address::Address;
use knock_common::attempt::{Attempt, is_within};
use knock_common::matcher::attempt_of;
use knock_common::packet::{Content, NoPacket, Packet, parse};
use knock_common::port::{Port, Protocol};
use knock_common::reason::Reason;
use knock_common::rules::{DoorId, StateKey};
use knock_common::source::SourceIdentity;
use knock_common::tables::Tables;
use knock_common::time::Boottime;

pub use capture::{Capture, CaptureError, Record};
pub use effect::{Effect, effects};

use crate::config::{Config, Destination};
use crate::datapath::TableSizes;
use crate::rules::{CompileError, MemoryTables, PreviousStates, RuleSet, compile, door_ids};
use frame::CapturedFrame;

/// Where the replay's clock begins: the core takes 0 for no time.
const BEGIN: Duration = Duration::from_secs(3600);
/// Attempts keep so much of their start.
const LONGEST: Duration = Duration::from_secs(8 * 365 * 24 * 3600);

/// Why a capture can't be replayed under a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(
        "destinations = [\"local\"] stands for this machine's addresses, which a capture does not tell: name them with --local"
    )]
    NoLocal,
    #[error(
        "packet {number} is stamped more than 8 years after the first one; no attempt or grant is replayed over such a time"
    )]
    TooLong { number: u64 },
}

/// A host as the capture was taken there.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its addresses: packets from them leave.
    pub addresses: BTreeSet<IpAddr>,
    /// Ports that something listened on.
    pub listening: Vec<Port>,
}

/// Rules, and what the packets so far have made of them.
pub struct Replay {
    tables: MemoryTables,
    local: BTreeSet<IpAddr>,
    names: HashMap<DoorId, String>,
    /// When the first packet was taken, since 1970.
    first: Option<Duration>,
    /// The clock, which never goes back.
    now: Duration,
    packets: u64,
    /// Packets that were stamped earlier than the one before them.
    pub backwards: u64,
}

/// One packet of a capture, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Since 1970.
    pub time: Duration,
    /// `None`: not IP, or not to be read.
    pub ends: Option<Ends>,
    pub outcome: Outcome,
    pub effects: Vec<Effect>,
}

/// Where a packet came from and went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// `None`: neither TCP nor UDP, or a later fragment.
    pub port: Option<(Protocol, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Judged(Reason),
    /// It leaves, and is noted.
    Leaves,
    /// The capture has too few bytes of it.
    CutShort,
}

impl Replay {
    pub fn new(config: &Config, host: &Host) -> Result<Self, ReplayError> {
        if config.filter.destinations.contains(&Destination::Local) && host.addresses.is_empty() {
            return Err(ReplayError::NoLocal);
        }
        let rules = RuleSet { stages: true, ..RuleSet::from_config(config, &host.addresses) };
        let compiled = compile(&rules, &PreviousStates::new())?;
        let ids = door_ids(rules.doors.iter().map(|door| door.name.as_str()));
        let one_time = compiled.one_time.clone();
        let limits = &config.limits;
        let sizes = TableSizes::new(limits.attempts, limits.flows, limits.grants, &compiled, 1);
        let mut tables = MemoryTables::with_sets(compiled, sizes.attempt_sets, sizes.flow_sets);
        for port in &host.listening {
            tables.listen(port.protocol, port.number.get());
        }
        let mut names: HashMap<DoorId, String> =
            ids.into_iter().zip(rules.doors.iter().map(|door| door.name.clone())).collect();
        for (sequence, door) in one_time {
            names.insert(sequence, names.get(&door).cloned().unwrap_or_default());
        }
        Ok(Self {
            tables,
            local: host.addresses.clone(),
            names,
            first: None,
            now: BEGIN,
            packets: 0,
            backwards: 0,
        })
    }

    /// Judges the next packet of a capture, or notes that it leaves.
    pub fn packet(&mut self, record: &Record<'_>) -> Result<Replayed, ReplayError> {
        let now = self.advance(record.time)?;
        let frame = CapturedFrame { bytes: &record.frame, length: record.length };
        let parsed = parse(&frame);
        let ends = parsed.as_ref().ok().map(ends);
        let replayed = |outcome, effects| Replayed { time: record.time, ends, outcome, effects };
        match &parsed {
            // What is missing is missing in the capture.
            Err(NoPacket::Malformed(_)) if record.frame.len() < record.length => {
                return Ok(replayed(Outcome::CutShort, Vec::new()));
            }
            Ok(packet) if record.outgoing || self.local.contains(&packet.source.to_ip()) => {
                self.tables.note_leaving(&frame, now);
                return Ok(replayed(Outcome::Leaves, Vec::new()));
            }
            _ => {}
        }
        let source = parsed.as_ref().ok().map(|packet| packet.source);
        let under_way = source.is_some_and(|source| self.is_under_way(&source, now));
        let reason = self.tables.judge(&frame, now).reason();
        let mut effects =
            effects(&self.tables.take_events(), |door| self.names.get(&door).cloned().unwrap_or_default());
        if under_way && source.is_some_and(|source| !self.attempt(&source).exists()) {
            effects.push(Effect::Reset);
        }
        Ok(replayed(Outcome::Judged(reason), effects))
    }

    fn advance(&mut self, time: Duration) -> Result<Boottime, ReplayError> {
        self.packets += 1;
        let first = *self.first.get_or_insert(time);
        let now = BEGIN + time.saturating_sub(first);
        if now > LONGEST {
            return Err(ReplayError::TooLong { number: self.packets });
        }
        if now < self.now || time < first {
            self.backwards += 1;
        }
        self.now = self.now.max(now);
        Ok(Boottime::from_nanoseconds(self.now.as_nanos() as u64))
    }

    fn attempt(&self, source: &Address) -> Attempt {
        attempt_of(&self.tables, SourceIdentity::of(self.tables.hash_key(), source))
    }

    /// Whether the source has an attempt that is neither complete nor over.
    fn is_under_way(&self, source: &Address, now: Boottime) -> bool {
        let attempt = self.attempt(source);
        let key = StateKey { slot: self.tables.slot(), state: attempt.state };
        attempt.exists()
            && self.tables.state(&key).is_some_and(|state| {
                state.complete == 0 && is_within(now.milliseconds(), attempt.started, state.timeout)
            })
    }
}

fn ends(packet: &Packet) -> Ends {
    let port = match packet.content() {
        Content::Segment(segment) => Some((segment.protocol, segment.destination_port)),
        _ => None,
    };
    Ends { source: packet.source.to_ip(), destination: packet.destination.to_ip(), port }
}
