//! Who goes when a set of a table is full.

use std::sync::atomic::AtomicU64;

use knock_common::address::Address;
use knock_common::attempt::{ATTEMPT_WAYS, Attempt, AttemptSet, BrokenBy, Fingerprint};
use knock_common::connection::Connections;
use knock_common::flow::{
    Eviction, FLOW_WAYS, FiveTuple, FlowIdentity, FlowKind, FlowLives, FlowSet, HALF_OPEN_LIFE, NewFlow,
    Phase,
};
use knock_common::hash::HashKey;
use knock_common::port::Protocol;
use knock_common::rules::STATE_STEP_SHIFT;
use knock_common::search::Search;
use knock_common::source::SourceIdentity;
use knock_common::time::Boottime;

const KEY: HashKey = HashKey([
    0x0123_4567_89ab_cdef,
    0xfedc_ba98_7654_3210,
    0x9e37_79b9_7f4a_7c15,
    0xd1b5_4a32_d192_ed03,
    0x8cb9_2ba7_2f3d_8dd7,
]);
const LIVES: FlowLives = FlowLives { established: 432_000_000, closing: 120_000 };
/// Milliseconds.
const TIMEOUT: u32 = 10_000;

fn search() -> Search<AtomicU64> {
    Search::default()
}

fn source(number: u32) -> SourceIdentity {
    SourceIdentity::of(&KEY, &Address::from_v4(number.to_be_bytes()))
}

fn attempt(steps: u32, started: u64) -> Attempt {
    Attempt {
        state: (steps - 1) << STATE_STEP_SHIFT | 1,
        started,
        hop_limit: 64,
        fingerprint: Fingerprint::of(Protocol::Tcp, 7000, 40000, 1),
    }
}

/// Puts an attempt where the set has room for it.
fn add(set: &AttemptSet<AtomicU64>, who: SourceIdentity, attempt: &Attempt, now: u64) {
    let way = set.place(Boottime::from_milliseconds(now), TIMEOUT, &search(), |number| number);
    set.store(way, who, attempt);
}

fn has(set: &AttemptSet<AtomicU64>, who: SourceIdentity) -> bool {
    set.find(who, &search()).1.exists()
}

#[test]
fn the_note_of_a_broken_attempt_is_none_and_gives_way_first() {
    let set = AttemptSet::default();
    let now = Boottime::from_milliseconds(1_000);
    for number in 0..ATTEMPT_WAYS as u32 {
        add(&set, source(number), &attempt(1, 100), 1_000);
    }
    let (way, _) = set.find(source(5), &search());
    let by = BrokenBy { steps: 2, protocol: Protocol::Udp, port: 65_535, time: (1 << 38) - 1 };
    set.break_off(way, source(5), &by);
    let (_, kept) = set.find(source(5), &search());
    assert!(!kept.exists() && kept.broken_by() == Some(by), "{kept:?}");
    assert_eq!(set.live(now, TIMEOUT).count(), ATTEMPT_WAYS - 1);

    let newcomer = source(1_000);
    add(&set, newcomer, &attempt(1, 1_000), 1_000);
    assert_eq!(set.find(newcomer, &search()).0, way);
    assert!((0..ATTEMPT_WAYS as u32).all(|number| has(&set, source(number)) == (number != 5)));
    assert_eq!(set.find(newcomer, &search()).1.broken_by(), None);
}

#[test]
fn an_attempt_comes_back_as_it_was_stored() {
    let set = AttemptSet::default();
    for started in [1, (1 << 22) - 1, 1 << 22, (1 << 38) - 1] {
        let stored = attempt(32, started);
        add(&set, source(7), &stored, started);
        let (way, found) = set.find(source(7), &search());
        assert_eq!(found, stored);
        set.forget(way);
        assert!(!has(&set, source(7)));
    }
}

#[test]
fn expired_attempts_go_first_then_those_that_have_come_least_far_then_the_oldest() {
    let set = AttemptSet::default();
    let ways = ATTEMPT_WAYS as u32;
    let now = 100_000;
    // One has expired, one has come three steps, the others one, each younger than the one before.
    add(&set, source(1), &attempt(5, now - u64::from(TIMEOUT) - 1), now);
    add(&set, source(2), &attempt(3, now - 9000), now);
    for number in 3..=ways {
        add(&set, source(number), &attempt(1, now - 9000 + u64::from(number)), now);
    }
    add(&set, source(100), &attempt(1, now), now);
    assert!(!has(&set, source(1)), "the expired one stays");
    add(&set, source(101), &attempt(1, now), now);
    assert!(!has(&set, source(3)), "the oldest of those one step far stays");
    for number in (2..=2).chain(4..=ways).chain(100..=101) {
        assert!(has(&set, source(number)), "{number} went");
    }
    for flood in 1000..2000 {
        add(&set, source(flood), &attempt(1, now), now);
    }
    assert!(has(&set, source(2)), "a flood of first knocks pushes out an attempt that has come further");
}

/// Sources that arrive at a set, evenly, and how far an attacker knows the sequence who sends in their names.
struct Flood {
    /// Milliseconds between two of them.
    every: u64,
    steps: u32,
}

impl Flood {
    /// Milliseconds.
    const LONG: u64 = 20_000;

    fn comes(&self, set: &AttemptSet<AtomicU64>, now: u64) {
        if !now.is_multiple_of(self.every) {
            return;
        }
        let forged = source(1_000_000 + now as u32);
        for steps in 1..=self.steps {
            let (way, known) = set.find(forged, &search());
            if known.exists() {
                set.store(way, forged, &attempt(steps, now));
            } else {
                add(set, forged, &attempt(steps, now), now);
            }
        }
    }

    /// Whether an honest knock, `apart` milliseconds after the one before, finds its attempt each time.
    fn lets_through(&self, steps: u32, apart: u64) -> bool {
        let set = AttemptSet::default();
        (1..Self::LONG).for_each(|now| self.comes(&set, now));
        let began = Self::LONG;
        add(&set, source(1), &attempt(1, began), began);
        (2..=steps).all(|step| {
            let knocks = began + apart * u64::from(step - 1);
            (knocks - apart + 1..knocks).for_each(|now| self.comes(&set, now));
            let (way, found) = set.find(source(1), &search());
            set.store(way, source(1), &attempt(step, began));
            found.exists()
        })
    }
}

#[test]
fn who_knows_how_a_sequence_begins_does_not_crowd_out_those_behind() {
    // 2 million entries and a million packets a second: each set gets a new source every 131 ms, by the steps it takes.
    for steps in 1..=4 {
        let flood = Flood { every: 131 * u64::from(steps), steps };
        for apart in [20, 500] {
            assert!(flood.lets_through(6, apart), "{steps} steps known, knocks {apart} ms apart");
        }
    }
}

fn tuple(remote: u32, remote_port: u16) -> FlowIdentity {
    FlowIdentity::of(
        &KEY,
        &FiveTuple {
            remote: Address::from_v4(remote.to_be_bytes()),
            local: Address::from_v4([10, 0, 0, 1]),
            remote_port,
            local_port: 22,
            kind: FlowKind::Tcp,
        },
    )
}

fn flow(phase: Phase) -> NewFlow {
    NewFlow::without_grant(phase)
}

fn record(set: &FlowSet<AtomicU64>, who: FlowIdentity, phase: Phase, now: u64) -> bool {
    let now = Boottime::from_milliseconds(now);
    set.record(who, &flow(phase), now, &LIVES, Eviction::SpareTheLive, &search())
}

fn phase(set: &FlowSet<AtomicU64>, who: FlowIdentity, now: u64) -> Option<Phase> {
    set.find(who, Boottime::from_milliseconds(now), &search()).map(|(_, flow)| flow.phase)
}

#[test]
fn live_established_flows_are_never_evicted() {
    let set = FlowSet::default();
    for port in 0..FLOW_WAYS as u16 {
        assert!(record(&set, tuple(1, port), Phase::Established, 1000));
    }
    assert!(!record(&set, tuple(2, 1), Phase::HalfOpen, 2000), "a full set records no more");
    assert!((0..FLOW_WAYS as u16).all(|port| phase(&set, tuple(1, port), 2000) == Some(Phase::Established)));
    let after_their_time = 1000 + LIVES.established;
    assert!(record(&set, tuple(2, 1), Phase::HalfOpen, after_their_time));
}

#[test]
fn half_open_flows_of_the_same_address_go_before_those_of_others() {
    let set = FlowSet::default();
    assert!(record(&set, tuple(9, 1), Phase::HalfOpen, 1000));
    for port in 1..FLOW_WAYS as u16 {
        assert!(record(&set, tuple(1, port), Phase::HalfOpen, 1001));
    }
    for forged in 100..1000 {
        assert!(record(&set, tuple(1, forged), Phase::HalfOpen, 1002));
    }
    assert_eq!(phase(&set, tuple(9, 1), 1003), Some(Phase::HalfOpen), "an address crowded out another");
}

#[test]
fn connections_that_are_over_go_behind_half_open_ones_and_first_those_of_the_same_address() {
    let set = FlowSet::default();
    assert!(record(&set, tuple(9, 1), Phase::Established, 1000));
    assert!(record(&set, tuple(9, 2), Phase::Closing, 1000));
    assert!(record(&set, tuple(9, 3), Phase::HalfOpen, 1000));
    for port in 3..FLOW_WAYS as u16 {
        assert!(record(&set, tuple(1, port), Phase::Closing, 1001));
    }
    assert!(record(&set, tuple(1, 100), Phase::Closing, 1002));
    assert_eq!(phase(&set, tuple(9, 3), 1003), None, "a half-open one of another");
    for forged in 101..1000 {
        assert!(record(&set, tuple(1, forged), Phase::Closing, 1002), "there is room for one more");
    }
    assert_eq!(phase(&set, tuple(9, 2), 1003), Some(Phase::Closing), "an address crowded out another");
    for port in 0..FLOW_WAYS as u16 {
        record(&set, tuple(1, port), Phase::Established, 1004);
    }
    assert_eq!(phase(&set, tuple(9, 2), 1005), None);
    assert_eq!(phase(&set, tuple(9, 1), 1005), Some(Phase::Established));
}

#[test]
fn a_forged_syn_does_not_make_a_live_connection_half_open() {
    let set = FlowSet::default();
    assert!(record(&set, tuple(1, 1), Phase::Established, 1000));
    assert!(record(&set, tuple(1, 1), Phase::HalfOpen, 2000));
    let long_after = 2000 + HALF_OPEN_LIFE + 1;
    assert_eq!(phase(&set, tuple(1, 1), long_after), Some(Phase::Established));
}

#[test]
fn outgoing_flows_always_find_room_and_what_ends_first_goes() {
    let set = FlowSet::default();
    for port in 0..FLOW_WAYS as u16 {
        let began = Boottime::from_milliseconds(1000 + u64::from(port));
        let flow = flow(Phase::Established);
        assert!(set.record(tuple(1, port), &flow, began, &LIVES, Eviction::FirstToEnd, &search()));
    }
    let now = Boottime::from_milliseconds(2000);
    let one_more = flow(Phase::HalfOpen);
    assert!(set.record(tuple(2, 1), &one_more, now, &LIVES, Eviction::FirstToEnd, &search()));
    assert_eq!(phase(&set, tuple(1, 0), 2000), None);
    assert!((1..FLOW_WAYS as u16).all(|port| phase(&set, tuple(1, port), 2000) == Some(Phase::Established)));
    assert!(set.record(tuple(2, 2), &one_more, now, &LIVES, Eviction::FirstToEnd, &search()));
    assert_eq!(phase(&set, tuple(2, 1), 2000), None, "a half-open one goes before those that live");
}

#[test]
fn a_note_takes_the_place_of_what_ends_before_it_does_or_none() {
    let set = FlowSet::default();
    let note = |who: FlowIdentity, now: u64, life: u64| {
        let (now, lives) = (Boottime::from_milliseconds(now), FlowLives::constant(life));
        set.record(who, &flow(Phase::Established), now, &lives, Eviction::SoonerToEnd, &search())
    };
    for port in 0..FLOW_WAYS as u16 {
        assert!(note(tuple(1, port), 1_000 + u64::from(port), 10_000), "there is room");
    }
    for life in [1, 8_999, 9_000] {
        assert!(!note(tuple(2, 1), 2_000, life), "{life}");
    }
    assert!((0..FLOW_WAYS as u16).all(|port| phase(&set, tuple(1, port), 2_000).is_some()));
    assert!(note(tuple(2, 1), 2_000, 9_001));
    assert!((0..FLOW_WAYS as u16).all(|port| phase(&set, tuple(1, port), 2_000).is_some() == (port != 0)));
}

#[test]
fn a_syn_that_comes_again_takes_no_second_place() {
    let set = FlowSet::default();
    for sent in 1_000..1_100 {
        assert!(record(&set, tuple(1, 1), Phase::HalfOpen, sent));
    }
    let now = Boottime::from_milliseconds(1_100);
    assert_eq!(set.live_of_remote(tuple(1, 1), now).count(), 1);
    assert_eq!(set.live(now).count(), 1);
}

#[test]
fn outgoing_flows_to_one_address_spread_over_the_whole_table() {
    let sets = 256;
    let filled: std::collections::HashSet<u32> =
        (0..=u16::MAX).map(|port| tuple(7, port).outgoing_set(sets)).collect();
    assert_eq!(filled.len(), 256);
}

#[test]
fn an_address_fills_few_sets_of_a_large_table() {
    let sets = 16_384;
    let filled: std::collections::HashSet<u32> =
        (0..=u16::MAX).map(|port| tuple(7, port).accepted_set(sets)).collect();
    assert_eq!(filled.len(), 64);
}

#[test]
fn a_token_comes_back_when_its_connection_never_answers() {
    let mut connections = Connections::new(2);
    let at = Boottime::from_milliseconds;
    assert!(connections.lend(tuple(1, 1), at(1000)));
    assert!(!connections.spend(tuple(1, 2), at(1000)), "another's token was spent");
    assert!(connections.lend(tuple(1, 2), at(1000)));
    assert!(!connections.lend(tuple(1, 3), at(2000)), "a third token was lent");
    assert!(connections.spend(tuple(1, 2), at(2000)));
    assert!(!connections.spend(tuple(1, 2), at(2000)), "a spent token was spent again");
    assert_eq!(connections.left(at(2000)), 0);
    let after = at(1000 + HALF_OPEN_LIFE);
    assert_eq!(connections.left(after), 1);
    assert!(!connections.spend(tuple(1, 1), after), "a token that came back was spent");
    assert!(connections.lend(tuple(1, 3), after));
    assert!(!connections.lend(tuple(1, 4), after), "the spent token was lent again");
}

#[test]
fn counting_anew_forgets_what_is_spent_and_what_is_lent() {
    let mut connections = Connections::new(2);
    let now = Boottime::from_milliseconds(1000);
    assert!(connections.lend(tuple(1, 1), now) && connections.lend(tuple(1, 2), now));
    assert!(connections.spend(tuple(1, 2), now));
    connections.reset(3);
    assert_eq!(connections.left(now), 3);
    assert!(!connections.spend(tuple(1, 1), now), "a token of before was spent");
}
