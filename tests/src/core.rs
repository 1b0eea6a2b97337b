//! The core in ordinary memory, shown single frames at times of the caller's choice.

use crate::model::{Content, FlowState, Outcome, Parsed, Port, Rules, parse};
use crate::rule_set::{protocol, rule_set};
use crate::state::{AttemptState, Doors, FlowEnd, State, sorted};
use knock_common::address::Address;
use knock_common::attempt::is_within;
use knock_common::evenness::probed_at;
use knock_common::flow::{FiveTuple, FlowIdentity, FlowKind, Phase};
use knock_common::grant::{Granted, GrantedBy, SourceGrants};
use knock_common::matcher::attempt_of;
use knock_common::reason::Verdict;
use knock_common::rules::StateKey;
use knock_common::search::Search;
use knock_common::source::SourceIdentity;
use knock_common::tables::Tables;
use knock_common::time::{Boottime, Deadline};
use knock_ctl::rules::{Compiled, MemoryTables, PreviousStates, compile};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

/// The core under a set of rules, and what packets have made of it.
pub struct CoreFilter {
    tables: MemoryTables,
    doors: Doors,
    /// Of the packets so far: where attempts, grants and flows may be.
    sources: BTreeSet<IpAddr>,
    accepted_sets: BTreeSet<u32>,
    outgoing_sets: BTreeSet<u32>,
}

impl CoreFilter {
    /// # Panics
    /// If the rules can't be compiled.
    pub fn new(rules: &Rules) -> Self {
        Self::with(rules, MemoryTables::new)
    }

    /// As [`CoreFilter::new`], with so small tables that all attempts share a set, all accepted flows one, and all outgoing ones.
    pub fn of_one_set(rules: &Rules) -> Self {
        Self::with(rules, |compiled| MemoryTables::with_sets(compiled, 1, 1))
    }

    fn with(rules: &Rules, tables: impl FnOnce(Compiled) -> MemoryTables) -> Self {
        let compiled = compile(&rule_set(rules), &PreviousStates::new()).expect("the rules compile");
        let mut tables = tables(compiled);
        for listener in &rules.listeners {
            tables.listen(protocol(listener.protocol), listener.number);
        }
        Self {
            tables,
            doors: Doors::of(rules),
            sources: BTreeSet::new(),
            accepted_sets: BTreeSet::new(),
            outgoing_sets: BTreeSet::new(),
        }
    }

    /// Grants the source one port for ever, and nothing else.
    pub fn grant_port(&mut self, source: IpAddr, port: Port) {
        let mut grants = SourceGrants::none(source.into());
        let granted = Granted::Port(protocol(port.protocol), port.number);
        let now = Boottime::from_nanoseconds(0);
        grants.grant(granted, GrantedBy::Admin, Deadline::FOREVER, now, &Search::<AtomicU64>::default());
        self.tables.put_source(Some(grants), [], None);
    }

    /// As [`crate::model::Model::packet`].
    pub fn packet(&mut self, now_ms: u64, frame: &[u8]) -> Outcome {
        if let Parsed::Ip { content: Content::Segment(segment), .. } = parse(frame) {
            self.sources.insert(segment.source);
            let accepted = self.flow(segment.source, segment.source_port, segment.destination, segment.port);
            self.accepted_sets.insert(accepted.accepted_set(self.tables.flow_sets()));
        }
        let reason = self.tables.judge(frame, Boottime::from_milliseconds(now_ms)).reason();
        let events = self.tables.take_events();
        Outcome {
            pass: reason.verdict() == Verdict::Pass,
            reason: reason.name(),
            events: events.iter().map(|event| self.doors.event(event)).collect(),
        }
    }

    /// As [`CoreFilter::packet`]: whether it is held up, as what the kernel will refuse is.
    ///
    /// # Panics
    /// If it is held up since another time than that of its arrival.
    pub fn is_held_up(&mut self, now_ms: u64, frame: &[u8]) -> bool {
        let judgement = self.tables.judge(frame, Boottime::from_milliseconds(now_ms));
        let since = probed_at(&self.tables, judgement.decided);
        assert!(since.is_none_or(|since| since == Boottime::from_milliseconds(now_ms)), "{since:?}");
        since.is_some()
    }

    /// As [`crate::model::Model::leaving`].
    pub fn leaving(&mut self, now_ms: u64, frame: &[u8]) {
        if let Parsed::Ip { content: Content::Segment(segment), .. } = parse(frame) {
            let local = Port { number: segment.source_port, ..segment.port };
            let begun = self.flow(segment.destination, segment.port.number, segment.source, local);
            self.outgoing_sets.insert(begun.outgoing_set(self.tables.flow_sets()));
        }
        self.tables.note_leaving(frame, Boottime::from_milliseconds(now_ms));
    }

    /// Whether the frame completes a sequence: as [`CoreFilter::packet`], for very many packets.
    pub fn completes(&self, now_ms: u64, frame: &[u8]) -> bool {
        self.tables.judge(frame, Boottime::from_milliseconds(now_ms)).completed.is_some()
    }

    /// What is not over at `now_ms`.
    pub fn state(&self, now_ms: u64) -> State {
        let sources = || self.sources.iter().copied();
        let attempts = sources().filter_map(|source| Some((source, self.attempt(now_ms, source)?)));
        let grants = sources().flat_map(|source| {
            let held = self.tables.grants_of(&source.into());
            held.into_iter().flat_map(move |held| self.valid(now_ms, source, &held))
        });
        let now = Boottime::from_milliseconds(now_ms);
        let accepted = self.accepted_sets.iter().filter_map(|set| self.tables.flow_set(*set));
        let flows = accepted
            .flat_map(|set| set.live(now))
            .map(|flow| (state(flow.phase), FlowEnd { deadline_ms: flow.deadline, sequence: flow.sequence }));
        let outgoing = self.outgoing_sets.iter().filter_map(|set| self.tables.outgoing_set(*set));
        let outgoing = outgoing.flat_map(|set| set.live(now)).filter(|flow| !flow.is_note());
        let outgoing = outgoing.map(|flow| (state(flow.phase), flow.deadline));
        let is_held = |source: &IpAddr| {
            self.tables.scan(&Address::from(*source)).is_some_and(|scan| scan.held_until > now_ms)
        };
        State {
            attempts: attempts.collect(),
            grants: grants.collect(),
            flows: sorted(flows),
            outgoing: sorted(outgoing),
            held: sources().filter(is_held).collect(),
        }
    }

    fn flow(&self, remote: IpAddr, remote_port: u16, local: IpAddr, local_port: Port) -> FlowIdentity {
        let tuple = FiveTuple {
            remote: remote.into(),
            local: local.into(),
            remote_port,
            local_port: local_port.number,
            kind: FlowKind::of(protocol(local_port.protocol)),
        };
        FlowIdentity::of(self.tables.hash_key(), &tuple)
    }

    fn attempt(&self, now_ms: u64, source: IpAddr) -> Option<AttemptState> {
        let tables = &self.tables;
        let identity = SourceIdentity::of(tables.hash_key(), &Address::from(source));
        let attempt = attempt_of(tables, identity);
        let state = tables.state(&StateKey { slot: tables.slot(), state: attempt.state })?;
        is_within(now_ms, attempt.started, state.timeout).then(|| AttemptState {
            start_ms: attempt.started,
            step: knock_common::rules::steps_taken(attempt.state) as usize,
            completed: state.complete != 0,
        })
    }

    fn valid(&self, now_ms: u64, source: IpAddr, held: &SourceGrants) -> Vec<((IpAddr, usize), u64)> {
        let now = Boottime::from_milliseconds(now_ms);
        let valid = held.all().iter().filter(|grant| !grant.passed(now));
        valid
            .map(|grant| {
                let Granted::Door(door) = grant.granted() else { panic!("nobody granted a port") };
                let deadline_ms = match grant.deadline().nanoseconds() {
                    u64::MAX => u64::MAX,
                    nanoseconds => nanoseconds / 1_000_000,
                };
                ((source, self.doors.index(door)), deadline_ms)
            })
            .collect()
    }
}

fn state(phase: Phase) -> FlowState {
    match phase {
        Phase::HalfOpen => FlowState::HalfOpen,
        Phase::Established => FlowState::Established,
        Phase::Closing => FlowState::Closing,
    }
}
