//! What doors do that the reference model does not know: one-time sequences, steps that are told, what ended an attempt.

use knock_common::address::Address;
use knock_common::attempt::BrokenBy;
use knock_common::connection::ConnectionsKey;
use knock_common::event::{Event, EventKind};
use knock_common::grant::{Grant, GrantedBy};
use knock_common::matcher::attempt_of;
use knock_common::port::{Port, Protocol};
use knock_common::rules::steps_taken;
use knock_common::source::SourceIdentity;
use knock_common::tables::Tables as _;
use knock_common::time::Boottime;
use knock_ctl::rules::{MemoryTables, OneTimeRule, PreviousStates, RuleSet, compile};
use knock_tests::model::{self, Door, Rules};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, SYN};
use knock_tests::rule_set::rule_set;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const ANOTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

const FIRST: [u16; 3] = [7001, 7003, 7005];
const SECOND: [u16; 3] = [8001, 8003, 8005];
const THIRD: [u16; 3] = [9001, 9003, 9005];

/// The tables of a machine with one door, and its clock.
struct Host {
    tables: MemoryTables,
    now_ms: u64,
}

impl Host {
    fn new(change: impl FnOnce(&mut RuleSet)) -> Self {
        let door = Door::new(FIRST.map(model::Port::tcp).to_vec(), vec![model::Port::tcp(22)]);
        let mut rules = rule_set(&Rules { doors: vec![door], ..Rules::default() });
        change(&mut rules);
        let compiled = compile(&rules, &PreviousStates::new()).expect("the rules compile");
        Self { tables: MemoryTables::new(compiled), now_ms: 1_000 }
    }

    /// One that opens its door by each of the three sequences once, in their order.
    fn with_one_time_sequences() -> Self {
        Self::new(|rules| {
            let steps = |ports: [u16; 3]| ports.iter().filter_map(|port| Port::tcp(*port)).collect();
            let sequences = [FIRST, SECOND, THIRD].into_iter().zip(1..);
            let one_time = sequences.map(|(ports, id)| OneTimeRule { id, steps: steps(ports) }).collect();
            (rules.doors[0].steps, rules.doors[0].one_time) = (Vec::new(), Some(one_time));
        })
    }

    /// What the knocks are told as.
    fn knocks(&mut self, source: IpAddr, ports: [u16; 3]) -> Vec<Event> {
        for port in ports {
            self.now_ms += 2_000;
            let sequence = self.now_ms as u32;
            let frame = Frame::tcp(source, SERVER).ports(40_000, port).sequence(sequence).build();
            self.tables.judge(frame.as_slice(), Boottime::from_milliseconds(self.now_ms));
        }
        self.tables.take_events()
    }

    fn kinds(&mut self, source: IpAddr, ports: [u16; 3]) -> Vec<Option<EventKind>> {
        self.knocks(source, ports).iter().map(|event| EventKind::from_number(event.kind)).collect()
    }

    fn granted_by(&self, source: IpAddr) -> Option<GrantedBy> {
        let grants = self.tables.grants_of(&Address::from(source))?;
        grants.all().first().map(|grant| grant.granted_by())
    }
}

#[test]
fn a_one_time_sequence_opens_once_and_only_in_its_turn() {
    let mut host = Host::with_one_time_sequences();
    assert_eq!(host.kinds(CLIENT, SECOND), [], "not its turn yet");
    assert_eq!(host.granted_by(CLIENT), None);
    assert_eq!(host.kinds(CLIENT, FIRST), [Some(EventKind::Open)]);
    assert_eq!(host.granted_by(CLIENT), Some(GrantedBy::OneTime));
    assert_eq!(host.kinds(CLIENT, FIRST), [], "it was used");
    assert_eq!(host.kinds(ANOTHER, FIRST), [], "somebody else has used it");
    assert_eq!(host.kinds(ANOTHER, THIRD), [], "the one before it has not been used");
    assert_eq!(host.granted_by(ANOTHER), None);
    assert_eq!(host.kinds(CLIENT, SECOND), [Some(EventKind::Refresh)]);
    assert_eq!(host.kinds(ANOTHER, THIRD), [Some(EventKind::Open)]);
}

#[test]
fn a_sequence_that_is_no_one_time_one_opens_again_and_again() {
    let mut host = Host::new(|_| {});
    assert_eq!(host.kinds(CLIENT, FIRST), [Some(EventKind::Open)]);
    assert_eq!(host.granted_by(CLIENT), Some(GrantedBy::Knock));
    assert_eq!(host.kinds(CLIENT, FIRST), [Some(EventKind::Refresh)]);
    assert_eq!(host.kinds(ANOTHER, FIRST), [Some(EventKind::Open)]);
}

#[test]
fn connections_are_counted_where_they_are_limited_alone() {
    for (limit, counted) in [(0, None), (2, Some(2))] {
        let mut host = Host::new(|rules| rules.doors[0].connections = limit);
        let [opened] = host.knocks(CLIENT, FIRST)[..] else { panic!("it opens once") };
        let key = ConnectionsKey { source: opened.source, door: opened.door, padding: 0 };
        let now = Boottime::from_milliseconds(host.now_ms);
        assert_eq!(host.tables.change_connections(&key, |connections| connections.left(now)), counted);
    }
}

#[test]
fn a_grant_is_in_use_once_its_client_has_answered() {
    for connections in [0, 1] {
        let mut host = Host::new(|rules| rules.doors[0].connections = connections);
        host.knocks(CLIENT, FIRST);
        let is_used =
            |host: &Host| host.tables.grants_of(&Address::from(CLIENT))?.all().first().map(Grant::is_used);
        let segment = |flags| Frame::tcp(CLIENT, SERVER).ports(40_000, 22).flags(flags).build();
        let now = Boottime::from_milliseconds(host.now_ms);
        host.tables.judge(segment(SYN).as_slice(), now);
        assert_eq!(is_used(&host), Some(false), "a SYN may be forged");
        host.tables.judge(segment(ACK).as_slice(), now);
        assert_eq!(is_used(&host), Some(true));
    }
}

#[test]
fn each_step_is_told_where_steps_are() {
    let mut host = Host::new(|rules| rules.stages = true);
    let events = host.knocks(CLIENT, FIRST);
    let told: Vec<_> = events
        .iter()
        .map(|event| (EventKind::from_number(event.kind), steps_taken(event.detail), event.source))
        .collect();
    let client = Address::from(CLIENT);
    let stage = |steps| (Some(EventKind::Stage), steps, client);
    assert_eq!(told, [stage(1), stage(2), stage(3), (Some(EventKind::Open), 1, client)]);
    let doors: Vec<_> = events.iter().map(|event| event.door).collect();
    assert_eq!(doors, [events[3].door; 4]);
}

#[test]
fn what_ended_an_attempt_is_kept_with_it() {
    let mut host = Host::with_one_time_sequences();
    // A port of no door, and one that only goes on with another sequence.
    for wrong in [12_345, SECOND[1]] {
        host.knocks(CLIENT, [FIRST[0], FIRST[1], wrong]);
        let source = SourceIdentity::of(host.tables.hash_key(), &Address::from(CLIENT));
        let attempt = attempt_of(&host.tables, source);
        let by = BrokenBy { steps: 2, protocol: Protocol::Tcp, port: wrong, time: host.now_ms };
        assert!(!attempt.exists());
        assert_eq!(attempt.broken_by(), Some(by));
    }
}
