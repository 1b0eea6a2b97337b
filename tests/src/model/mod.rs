//! A second, naive implementation of what happens to a packet, written from the contract's text alone.
//!
//! It holds everything in plain collections, has no bounds on its state but those that the contract sets, and is meant
//! to be read: where it and the kernel program differ, one of them is wrong.

mod attempt;
mod flow;
mod grant;
mod parser;
mod rules;
#[cfg(test)]
mod tests;

pub use attempt::{Attempt, Knock};
pub use flow::{FiveTuple, Flow, FlowState};
pub use grant::{Grant, MOST_PER_SOURCE};
pub use parser::{Content, Parsed, Segment, parse};
pub use rules::{
    Door, Established, FlagsCondition, FlowLives, Network, Opens, Policy, Port, PortRange, Protocol, Rules,
    Trusted,
};

use attempt::Attempts;
use flow::Flows;
use grant::Grants;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What became of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub pass: bool,
    /// One of the contract's reasons.
    pub reason: &'static str,
    pub events: Vec<Event>,
}

/// Something that the controller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event {
    pub kind: EventKind,
    pub source: IpAddr,
    /// Its index among the rules' doors.
    pub door: usize,
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
}

#[derive(Clone, Debug)]
pub struct Model {
    rules: Rules,
    attempts: Attempts,
    grants: Grants,
    flows: Flows,
}

impl Model {
    pub fn new(rules: Rules) -> Self {
        Self { rules, attempts: Attempts::new(), grants: Grants::new(), flows: Flows::new() }
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Shows the model one frame, whole from its destination MAC address on. Time never runs backwards.
    pub fn packet(&mut self, now_ms: u64, frame: &[u8]) -> Outcome {
        let (pass, reason, events) = match parse(frame) {
            Parsed::NotIp => (true, "not_ip", Vec::new()),
            Parsed::Malformed => (false, "malformed", Vec::new()),
            Parsed::Ip { destination, .. } if !self.is_ours(destination) => (true, "not_ours", Vec::new()),
            Parsed::Ip { content, .. } => match content {
                Content::Malformed => (false, "malformed", Vec::new()),
                Content::LaterFragment => (true, "fragment", Vec::new()),
                Content::Icmp => (true, "icmp", Vec::new()),
                Content::OtherProtocol => (true, "other_protocol", Vec::new()),
                Content::Segment(packet) => self.segment(now_ms, &packet),
            },
        };
        if pass || self.rules.enforce {
            Outcome { pass, reason, events }
        } else {
            Outcome { pass: true, reason: "would_drop", events }
        }
    }

    /// Ends a grant now; whether it was valid.
    pub fn revoke(&mut self, now_ms: u64, source: IpAddr, door: usize) -> bool {
        grant::revoke(&mut self.grants, now_ms, source, door)
    }

    /// The attempt of `source`, if at least one of its doors is in time; completed ones too.
    pub fn attempt(&self, now_ms: u64, source: IpAddr) -> Option<Attempt> {
        self.attempts(now_ms).remove(&source)
    }

    /// Every source's attempt, without the doors whose time has run out.
    pub fn attempts(&self, now_ms: u64) -> BTreeMap<IpAddr, Attempt> {
        let mut attempts = BTreeMap::new();
        for (source, attempt) in &self.attempts {
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
        let all = self.grants.iter().flat_map(|(source, held)| held.iter().map(|grant| (*source, grant)));
        let valid = all.filter(|(_, grant)| grant.is_valid(now_ms));
        valid.map(|(source, grant)| ((source, grant.door), grant.clone())).collect()
    }

    /// Live accepted flows.
    pub fn flows(&self, now_ms: u64) -> BTreeMap<FiveTuple, Flow> {
        let live = self.flows.iter().filter(|(_, flow)| flow.is_live(now_ms));
        live.map(|(key, flow)| (*key, *flow)).collect()
    }

    fn is_ours(&self, destination: IpAddr) -> bool {
        self.rules.destinations.is_empty() || self.rules.destinations.contains(&destination)
    }

    /// Rules 7 to 11: the verdict is found before the matcher sees the packet.
    fn segment(&mut self, now_ms: u64, packet: &Segment) -> (bool, &'static str, Vec<Event>) {
        let open_to_source = self.is_open_to_source(now_ms, packet);
        let (pass, reason) = self.judge(now_ms, packet);
        let mut events = Vec::new();
        if !matches!(reason, "public" | "flow") && !packet.fragment {
            let completed = attempt::take(&mut self.attempts, &self.rules, now_ms, packet, open_to_source);
            for door in completed {
                let told = grant::complete(&mut self.grants, &self.rules, now_ms, packet.source, door);
                events.extend(told);
            }
        }
        (pass, reason, events)
    }

    /// Whether trust or a valid grant, were it used up, opens the packet's port to its source.
    fn is_open_to_source(&mut self, now_ms: u64, packet: &Segment) -> bool {
        let (source, port) = (packet.source, packet.port);
        let granted = !grant::opening(&mut self.grants, &self.rules, now_ms, source, port).is_empty();
        self.rules.is_protected(port) && (granted || self.rules.is_trusted(source, port))
    }

    fn judge(&mut self, now_ms: u64, packet: &Segment) -> (bool, &'static str) {
        if self.rules.is_public(packet.port) {
            return (true, "public");
        }
        if !self.rules.is_protected(packet.port) {
            return match self.rules.policy {
                Policy::Pass if attempt::is_hit(&self.rules, packet) => (true, "knock"),
                Policy::Pass => (true, "unlisted"),
            };
        }
        if self.is_of_flow(now_ms, packet) && self.rules.established == Established::Keep {
            return (true, "flow");
        }
        if self.rules.is_trusted(packet.source, packet.port) {
            return (true, "trusted");
        }
        if self.is_granted(now_ms, packet) { (true, "granted") } else { (false, "no_grant") }
    }

    /// Whether the packet belongs to a live flow, which it then renews or ends.
    fn is_of_flow(&mut self, now_ms: u64, packet: &Segment) -> bool {
        if !packet.is_tcp() || packet.opens_connection() {
            return false;
        }
        let key = FiveTuple::of(packet);
        let Some(flow) = self.flows.get_mut(&key).filter(|flow| flow.is_live(now_ms)) else { return false };
        let lender = flow.lender.take();
        flow.follow(self.rules.flow_lives, now_ms, packet);
        let held = self.grants.get_mut(&packet.source).into_iter().flatten();
        for grant in held.filter(|grant| Some(grant.door) == lender) {
            grant.spend(now_ms, key);
        }
        true
    }

    /// Whether a valid grant lets the packet pass; a new connection then becomes a flow, and takes a token where
    /// connections are counted: where no grant is without limit, that of the first.
    fn is_granted(&mut self, now_ms: u64, packet: &Segment) -> bool {
        let mut opening = grant::opening(&mut self.grants, &self.rules, now_ms, packet.source, packet.port);
        if opening.is_empty() || !packet.opens_connection() {
            return !opening.is_empty();
        }
        let limit = |grant: &Grant| self.rules.doors[grant.door].connections;
        let unlimited = opening.iter().any(|grant| limit(grant) == 0);
        if packet.fragment {
            return unlimited;
        }
        let key = FiveTuple::of(packet);
        let known = self.flows.get(&key).filter(|flow| flow.is_live(now_ms));
        if known.is_some_and(|flow| flow.sequence == packet.sequence) {
            return true;
        }
        let mut lender = None;
        if !unlimited {
            let grant = &mut opening[0];
            let until_ms = now_ms.saturating_add(self.rules.flow_lives.half_open_ms);
            if !grant.lend(limit(grant), now_ms, until_ms, key) {
                return false;
            }
            lender = Some(grant.door);
        }
        flow::record(&mut self.flows, self.rules.flow_lives, now_ms, packet, lender);
        true
    }
}
