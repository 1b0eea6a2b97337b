//! A second, naive implementation of what happens to a packet, written from the README's rules alone.
//!
//! It holds everything in plain collections, has no bounds on its state but those that the rules set, and is meant
//! to be read: where it and the kernel program differ, one of them is wrong.

mod accepted;
mod attempt;
mod flow;
mod fragments;
mod grant;
mod icmp;
mod judge;
mod note;
mod outgoing;
mod parser;
mod rules;
mod scanner;
mod standing;
#[cfg(test)]
mod tests;

pub use attempt::{Attempt, Knock};
pub use flow::{FiveTuple, Flow, FlowState};
pub use fragments::FRAGMENTS_PER_SECOND;
pub use grant::{Grant, MOST_PER_SOURCE};
pub use parser::{Content, Parsed, Segment, parse};
pub use rules::{
    Door, Established, FlagsCondition, FlowLives, Network, Opens, Policy, Port, PortRange, Protocol, Rules,
    Scanners, Trusted,
};

use crate::packet::numbers;
use attempt::Attempts;
use flow::Flows;
use grant::Grants;
use note::Notes;
use scanner::Scans;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What became of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub pass: bool,
    /// One of the reasons that `status` shows.
    pub reason: &'static str,
    pub events: Vec<Event>,
}

/// Something that the controller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event {
    pub kind: EventKind,
    pub source: IpAddr,
    /// Its index among the rules' doors; `None` where it is about none.
    pub door: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// A completed sequence, and no grant of that door was valid.
    Open,
    /// A completed sequence of an open door; told once in a second of the clock for each grant.
    Refresh,
    /// A valid grant was revoked.
    Close,
    /// The source holds as many grants as it may.
    GrantRefused,
    /// The source is held for scanning.
    SourceHeld,
}

#[derive(Clone, Debug)]
pub struct Model {
    rules: Rules,
    /// Whether the rules decide about packets; they don't where they were not confirmed and there were none before.
    in_force: bool,
    trial: Option<Trial>,
    memory: Memory,
}

/// A change of rules that is undone unless somebody confirms it.
#[derive(Clone, Debug)]
struct Trial {
    /// The change holds before this time.
    confirm_by_ms: u64,
    before: Option<Rules>,
}

/// What is remembered between packets.
#[derive(Clone, Debug, Default)]
struct Memory {
    attempts: Attempts,
    grants: Grants,
    /// Connections that were accepted under a grant.
    accepted: Flows,
    /// Connections that this machine began.
    outgoing: Flows,
    /// Remote ends of flows, and who was sent an echo request.
    peers: Notes<IpAddr>,
    /// Datagrams to closed ports that passed only because nothing is dropped yet: an answer to them begins no flow.
    unasked: Notes<FiveTuple>,
    fragments: fragments::Passed,
    scans: Scans,
}

impl Model {
    pub fn new(rules: Rules) -> Self {
        Self { rules, in_force: true, trial: None, memory: Memory::default() }
    }

    /// Rules that from `confirm_by_ms` on give way to those `before`, or to none, unless they are confirmed before that.
    /// Doors of one index are one door.
    pub fn on_trial(rules: Rules, confirm_by_ms: u64, before: Option<Rules>) -> Self {
        Self { trial: Some(Trial { confirm_by_ms, before }), ..Self::new(rules) }
    }

    /// Keeps the rules that wait for it; `false`: none did.
    pub fn confirm(&mut self, now_ms: u64) -> bool {
        self.end_trial(now_ms);
        self.trial.take().is_some()
    }

    /// The rules that hold, or held when packets were looked at last.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Shows the model one frame that arrives, whole from its destination MAC address on. Time never runs backwards.
    pub fn packet(&mut self, now_ms: u64, frame: &[u8]) -> Outcome {
        self.end_trial(now_ms);
        if !self.in_force {
            return Outcome { pass: true, reason: "unconfirmed", events: Vec::new() };
        }
        let (reason, events) = self.judge(now_ms, frame);
        let pass = !matches!(reason, "malformed" | "fragment_limit" | "held" | "no_grant" | "policy_drop");
        if pass || self.rules.enforce {
            Outcome { pass, reason, events }
        } else {
            Outcome { pass: true, reason: "would_drop", events }
        }
    }

    /// Shows the model one frame that leaves this machine.
    pub fn leaving(&mut self, now_ms: u64, frame: &[u8]) {
        self.end_trial(now_ms);
        outgoing::leaves(&mut self.memory, &self.rules, now_ms, frame);
    }

    /// Ends a grant now; whether it was valid.
    pub fn revoke(&mut self, now_ms: u64, source: IpAddr, door: usize) -> bool {
        grant::revoke(&mut self.memory.grants, now_ms, source, door)
    }

    /// Ends the hold of a source; whether there was one.
    pub fn release(&mut self, now_ms: u64, source: IpAddr) -> bool {
        scanner::release(&mut self.memory.scans, now_ms, source)
    }

    /// The attempt of `source`, if at least one of its doors is in time; completed ones too.
    pub fn attempt(&self, now_ms: u64, source: IpAddr) -> Option<Attempt> {
        self.attempts(now_ms).remove(&source)
    }

    /// Every source's attempt, without the doors whose time has run out.
    pub fn attempts(&self, now_ms: u64) -> BTreeMap<IpAddr, Attempt> {
        let mut attempts = BTreeMap::new();
        for (source, attempt) in &self.memory.attempts {
            let mut attempt = attempt.clone();
            let in_time = |door: usize| now_ms - attempt.start_ms <= self.rules.doors[door].seq_timeout_ms;
            attempt.doors.retain(|&(door, _)| in_time(door));
            if !attempt.doors.is_empty() {
                attempts.insert(*source, attempt);
            }
        }
        attempts
    }

    /// (source, door) -> valid grant.
    pub fn grants(&self, now_ms: u64) -> BTreeMap<(IpAddr, usize), Grant> {
        let all =
            self.memory.grants.iter().flat_map(|(source, held)| held.iter().map(|grant| (*source, grant)));
        let valid = all.filter(|(_, grant)| grant.is_valid(now_ms));
        valid.map(|(source, grant)| ((source, grant.door), grant.clone())).collect()
    }

    /// Live accepted flows.
    pub fn flows(&self, now_ms: u64) -> BTreeMap<FiveTuple, Flow> {
        let live = self.memory.accepted.iter().filter(|(_, flow)| flow.is_live(now_ms));
        live.map(|(key, flow)| (*key, *flow)).collect()
    }

    /// Live flows that this machine began.
    pub fn outgoing(&self, now_ms: u64) -> BTreeMap<FiveTuple, Flow> {
        let live = self.memory.outgoing.iter().filter(|(_, flow)| flow.is_live(now_ms));
        live.map(|(key, flow)| (*key, *flow)).collect()
    }

    /// Sources that are held for scanning, whether or not that has an effect on them now.
    pub fn held(&self, now_ms: u64) -> BTreeSet<IpAddr> {
        scanner::held(&self.memory.scans, now_ms).collect()
    }

    /// Goes back where a change was not confirmed in time.
    fn end_trial(&mut self, now_ms: u64) {
        let Some(trial) = self.trial.take_if(|trial| now_ms >= trial.confirm_by_ms) else { return };
        match trial.before {
            Some(before) => self.rules = before,
            None => self.in_force = false,
        }
    }

    /// Rules 1 to 5 and what follows.
    fn judge(&mut self, now_ms: u64, frame: &[u8]) -> (&'static str, Vec<Event>) {
        let quiet = |reason| (reason, Vec::new());
        let (source, content) = match parse(frame) {
            Parsed::NotIp => return quiet("not_ip"),
            Parsed::Malformed => return quiet("malformed"),
            Parsed::Ip { destination, .. } if !self.rules.is_ours(destination) => return quiet("not_ours"),
            Parsed::Ip { source, content, .. } => (source, content),
        };
        let passes_all = self.rules.policy == Policy::Pass;
        let reason = match content {
            Content::Segment(packet) => return self.segment(now_ms, &packet),
            Content::Malformed => "malformed",
            Content::LaterFragment => fragments::reason(&mut self.memory, &self.rules, now_ms, source),
            Content::Icmp(kind) if passes_all || icmp::passes(&self.rules, source, kind) => "icmp",
            Content::OtherProtocol(number) if passes_all || self.passes(source, number) => "other_protocol",
            Content::Icmp(_) | Content::OtherProtocol(_) => "policy_drop",
        };
        quiet(reason)
    }

    /// Whether an IP protocol besides TCP, UDP and ICMP passes under `policy = "drop"`.
    fn passes(&self, source: IpAddr, protocol: u8) -> bool {
        (source.is_ipv4() && protocol == numbers::IGMP) || self.rules.protocols.contains(&protocol)
    }

    /// The verdict is found before the matcher sees the packet.
    fn segment(&mut self, now_ms: u64, packet: &Segment) -> (&'static str, Vec<Event>) {
        let (memory, rules) = (&mut self.memory, &self.rules);
        let resets = !is_open_to_source(memory, rules, now_ms, packet);
        let reason = judge::reason(memory, rules, now_ms, packet);
        let ends_as = scanner::hold(memory, rules, now_ms, packet, reason);
        let mut events: Vec<Event> =
            scanner::count(memory, rules, now_ms, packet, reason).into_iter().collect();
        note_unasked(memory, rules, now_ms, packet, reason);
        if !matches!(reason, "public" | "flow") && !packet.fragment {
            let resets = resets && !outgoing::is_answer(memory, now_ms, packet);
            for door in attempt::take(&mut memory.attempts, rules, now_ms, packet, resets) {
                events.extend(grant::complete(&mut memory.grants, rules, now_ms, packet.source, door));
            }
        }
        (ends_as, events)
    }
}

/// Whether trust or a valid grant, were it used up, opens the packet's port to its source.
fn is_open_to_source(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) -> bool {
    let (source, port) = (packet.source, packet.port);
    let granted = !grant::opening(&mut memory.grants, rules, now_ms, source, port).is_empty();
    rules.is_closed(port) && (granted || rules.is_trusted(source, port))
}

/// Where nothing is dropped yet, a service may answer what will be dropped: that it does makes nobody its peer.
fn note_unasked(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment, reason: &str) {
    let would_drop = !rules.enforce && matches!(reason, "no_grant" | "policy_drop");
    if would_drop && !packet.is_tcp() && rules.listeners.contains(&packet.port) {
        let key = FiveTuple::of_arriving(packet);
        note::note(&mut memory.unasked, now_ms, key, rules.flow_lives.udp_ms);
    }
}
