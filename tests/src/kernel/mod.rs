//! The kernel program, loaded without any interface and run over single frames.

mod memory;

use crate::model::{Content, Event, Outcome, Parsed, Rules, parse};
use crate::packet::numbers;
use crate::rule_set::{protocol, rule_set};
use crate::state::Doors;
use knock_common::address::Address;
use knock_common::connection::ConnectionsKey;
use knock_common::grant::Granted;
use knock_common::hash::HashKey;
use knock_common::reason::{Reason, Verdict};
use knock_common::time::Boottime;
use knock_ctl::datapath::{
    DatapathError, Maps, Mode, PacketCounters, Program, TableSizes, Unconfirmed, Variant,
};
use knock_ctl::rules::{PreviousStates, RuleSet, compile};
use memory::Memory;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// `XDP_DROP` and `XDP_PASS` of linux/bpf.h.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// Its words differ, or both directions of a connection would hash alike.
const KEY: HashKey = HashKey([
    0x9e37_79b9_7f4a_7c15,
    0xd1b5_4a32_d192_ed03,
    0x8cb9_2ba7_2f3d_8dd7,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
]);

/// A loaded program under a set of rules.
pub struct KernelFilter {
    pub program: Program,
    pub maps: Maps,
    /// Whether frames go to the program that takes them in several buffers.
    pub multi_buffer: bool,
    memory: Memory,
    counters: PacketCounters,
    serials: Vec<u64>,
    doors: Doors,
    sources: BTreeSet<IpAddr>,
}

/// What is not over at one point in time, as far as the maps tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelState {
    pub attempts: usize,
    /// (source, door) -> deadline in milliseconds; `u64::MAX` is for ever.
    pub grants: BTreeMap<(IpAddr, usize), u64>,
    /// Accepted flows.
    pub flows: usize,
    /// Outgoing flows, without the notes that share their table.
    pub outgoing: usize,
    /// Sources that are held for scanning.
    pub held: BTreeSet<IpAddr>,
}

/// Index of the interface that test runs seem to come in by.
const LOOPBACK: u32 = 1;

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelOutcome {
    pub pass: bool,
    pub reason: Reason,
}

impl KernelFilter {
    /// With tables of at least so many entries.
    pub fn with_limits(
        rules: &RuleSet,
        attempts: u32,
        flows: u32,
        grants: u32,
    ) -> Result<Self, DatapathError> {
        let compiled = compile(rules, &PreviousStates::new())?;
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
        let sizes = TableSizes::new(attempts, flows, grants, &compiled, cpus);
        let (mut program, mut maps) = Program::load(Variant::Plain, &sizes, KEY, None)?;
        maps.put_into_force(&compiled)?;
        program.load_all()?;
        Ok(Self {
            multi_buffer: false,
            memory: Memory::of(program.ebpf_mut()),
            counters: maps.counters_of(LOOPBACK)?,
            serials: maps.serials()?,
            doors: Doors::default(),
            sources: BTreeSet::new(),
            program,
            maps,
        })
    }

    pub fn new(rules: &RuleSet) -> Result<Self, DatapathError> {
        Self::with_limits(rules, 65_536, 16_384, 4096)
    }

    /// Puts other rules into force, and forgets what packets did under those before.
    ///
    /// # Panics
    /// If they can't be compiled or written.
    pub fn begin(&mut self, rules: &Rules) {
        let compiled = compile(&rule_set(rules), &PreviousStates::new()).expect("the rules compile");
        self.maps.put_into_force(&compiled).expect("there is room for the rules");
        self.maps.set_listeners(rules.listeners.iter().map(|port| (protocol(port.protocol), port.number)));
        self.doors = Doors::of(rules);
        self.forget();
    }

    /// As [`KernelFilter::begin`], with rules that hold for so long, and then those `before`, or none. Returns the millisecond
    /// from which on that is.
    ///
    /// # Panics
    /// As [`KernelFilter::begin`].
    pub fn begin_on_trial(&mut self, rules: &Rules, for_ms: u64, before: Option<&Rules>) -> u64 {
        self.begin(before.unwrap_or(rules));
        let in_force = self.maps.slot_in_force().expect("rules can be read");
        let states = self.maps.states().expect("states can be read");
        let compiled = compile(&rule_set(rules), &states).expect("the rules compile");
        let confirm_by_ms = now().milliseconds() + for_ms;
        let until = Boottime::from_milliseconds(confirm_by_ms);
        let change = Unconfirmed { until, fallback: before.and(in_force) };
        self.maps.put_into_force_until(&compiled, Some(change)).expect("there is room for the rules");
        confirm_by_ms
    }

    /// Forgets every attempt, grant and flow.
    pub fn forget(&mut self) {
        self.memory.forget();
        self.sources.clear();
    }

    /// Forgets which closed ports were hit, as when others have taken their room.
    pub fn forget_scanned_ports(&mut self) {
        self.memory.forget_scanned_ports();
    }

    /// Turns the end of every grant back by so many nanoseconds.
    pub fn age_grants(&mut self, nanoseconds: u64) {
        self.memory.age_grants(nanoseconds);
    }

    /// Has another CPU be at the count of a grant's connections, until [`KernelFilter::release_count`].
    pub fn hold_count(&mut self, source: IpAddr, door: usize) {
        self.memory.lock(self.count_of(source, door));
    }

    /// # Panics
    /// If it is not held.
    pub fn release_count(&mut self, source: IpAddr, door: usize) {
        self.memory.unlock(self.count_of(source, door));
    }

    /// Connections that the source's grant of a door would still let in at `now_ms`; `None`: it counts none.
    pub fn connections_left(&self, source: IpAddr, door: usize, now_ms: u64) -> Option<u32> {
        let connections = self.maps.connections(self.count_of(source, door))?;
        Some(connections.left(Boottime::from_milliseconds(now_ms)))
    }

    fn count_of(&self, source: IpAddr, door: usize) -> ConnectionsKey {
        ConnectionsKey { source: source.into(), door: self.doors.id(door), padding: 0 }
    }

    /// As [`crate::model::Model::packet`], with the millisecond in which it was judged. `None`: a millisecond ended while it
    /// was, so that nobody can tell which one it was.
    pub fn packet(&mut self, frame: &[u8]) -> Option<(u64, Outcome)> {
        if let Parsed::Ip { source, content: Content::Segment(_), .. } = parse(frame) {
            self.sources.insert(source);
        }
        let before = early_in_a_millisecond();
        let action = self.run(frame);
        let after = now().milliseconds();
        let KernelOutcome { pass, reason } = self.outcome(action);
        let events = self.take_events();
        (before == after).then(|| (before, Outcome { pass, reason: reason.name(), events }))
    }

    /// Shows the program a frame that leaves this machine, unless none like it ever does, and returns the millisecond in which
    /// that was. `None`: as for [`KernelFilter::packet`].
    pub fn leaving(&mut self, frame: &[u8]) -> Option<u64> {
        let before = early_in_a_millisecond();
        if can_leave(frame) {
            self.program.test_run_egress(frame, 1).expect("the program runs");
        }
        (now().milliseconds() == before).then_some(before)
    }

    /// What is not over at `now_ms`.
    pub fn state(&self, now_ms: u64) -> KernelState {
        let now = Boottime::from_milliseconds(now_ms);
        let mut grants = BTreeMap::new();
        for &source in &self.sources {
            let Some(held) = self.maps.grants_of(&source.into()).expect("grants can be read") else {
                continue;
            };
            for grant in held.all() {
                let Granted::Door(door) = grant.granted() else { continue };
                let deadline_ms = match grant.deadline().nanoseconds() {
                    u64::MAX => u64::MAX,
                    nanoseconds => nanoseconds / 1_000_000,
                };
                // One that was revoked in this millisecond is over.
                if deadline_ms > now_ms {
                    grants.insert((source, self.doors.index(door)), deadline_ms);
                }
            }
        }
        let attempts = self.maps.attempts_use(now).expect("rules can be read").used;
        let held = self.maps.held(now).expect("held sources can be read");
        KernelState {
            attempts,
            grants,
            flows: self.maps.flows_use(now).used,
            outgoing: self.maps.outgoing_use(now).used,
            held: held.into_iter().map(|(source, _)| source.to_ip()).collect(),
        }
    }

    /// Completions since the last call, in the order of each CPU.
    pub fn take_events(&mut self) -> Vec<Event> {
        let serials = self.maps.serials().expect("serials can be read");
        let before = std::mem::replace(&mut self.serials, serials);
        let news = (0..).zip(self.serials.iter().zip(before));
        let news =
            news.flat_map(|(cpu, (last, before))| (before + 1..=*last).map(move |serial| (cpu, serial)));
        news.map(|(cpu, serial)| {
            let event = self.maps.completion(cpu, serial).expect("completions can be read");
            let event = event.expect("a completion for every serial number");
            self.doors.event(&event)
        })
        .collect()
    }

    /// The action.
    fn run(&mut self, frame: &[u8]) -> u32 {
        let run = if self.multi_buffer { Program::test_run_multi_buffer } else { Program::test_run };
        let (action, _) = run(&mut self.program, frame, 1).expect("the program runs");
        action
    }

    /// Runs the program over the frame once. Panics unless exactly one reason was counted, and fits the verdict.
    pub fn judge(&mut self, frame: &[u8]) -> KernelOutcome {
        let action = self.run(frame);
        self.outcome(action)
    }

    /// Runs the program over the frame so many times on one CPU, without a pause. Gives what was counted.
    pub fn judge_often(&mut self, frame: &[u8], times: u32) -> Vec<(Reason, u64)> {
        let run = if self.multi_buffer { Program::test_run_multi_buffer } else { Program::test_run };
        run(&mut self.program, frame, times).expect("the program runs");
        self.moved()
    }

    fn outcome(&mut self, action: u32) -> KernelOutcome {
        let moved = self.moved();
        let [(reason, 1)] = moved[..] else {
            panic!("one packet moved the counters {moved:?}");
        };
        let pass = match action {
            XDP_PASS => true,
            XDP_DROP => false,
            other => panic!("the program returned {other}"),
        };
        assert_eq!(pass, reason.verdict() == Verdict::Pass, "{reason:?}");
        KernelOutcome { pass, reason }
    }

    /// The counters that have moved since they were read last, and how far.
    fn moved(&mut self) -> Vec<(Reason, u64)> {
        let counters = self.maps.counters_of(LOOPBACK).expect("counters can be read");
        let before = std::mem::replace(&mut self.counters, counters);
        let moved = |reason: &Reason| (*reason, self.counters[reason] - before[reason]);
        Reason::ALL.iter().map(moved).filter(|(_, times)| *times != 0).collect()
    }

    /// Whether `source` holds a valid grant of any door.
    pub fn has_grant(&self, source: &Address) -> bool {
        let now = now();
        let grants = self.maps.grants_of(source).expect("grants can be read");
        grants.is_some_and(|grants| grants.all().iter().any(|grant| !grant.passed(now)))
    }
}

/// Whether the kernel runs its programs on packets that leave over such a frame: the fixed IP header is there.
pub fn can_leave(frame: &[u8]) -> bool {
    let header = match frame.get(12..14).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])) {
        None => return false,
        Some(numbers::IPV4) => 20,
        Some(numbers::IPV6) => 40,
        Some(_) => 1,
    };
    frame.len() >= 14 + header
}

/// Waits until a millisecond has just begun, so that it seldom ends too soon, and returns which.
fn early_in_a_millisecond() -> u64 {
    while now().nanoseconds() % 1_000_000 > 500_000 {
        std::hint::spin_loop();
    }
    now().milliseconds()
}

/// CLOCK_BOOTTIME, the clock of grants and attempts.
pub fn now() -> Boottime {
    knock_ctl::clock::boottime()
}

/// Both ways of attaching.
pub const MODES: [Mode; 2] = [Mode::Native, Mode::Generic];
