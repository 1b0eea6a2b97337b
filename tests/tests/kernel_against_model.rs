//! The loaded kernel program against the reference model. Needs root.

use knock_common::reason::Reason;
use knock_lab::KernelRelease;
use knock_tests::fixtures::{self, Fixture, Judgement, Verdict, truncations};
use knock_tests::kernel::{KernelFilter, KernelState, now};
use knock_tests::lab::privileged;
use knock_tests::model::{
    Door, Established, Event, EventKind, FRAGMENTS_PER_SECOND, Model, Outcome, Policy, Port, Rules, Scanners,
    parse,
};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::ACK;
use knock_tests::rule_set::rule_set;
use knock_tests::state::State;
use knock_tests::stream::{Direction, Stream, TimedFrame};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{LazyLock, Mutex, MutexGuard};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

const SEEDS: u64 = 60;
const PACKETS: usize = 200;
/// How often a stream may begin anew.
const TRIES: u32 = 50;

/// The first kernel with XDP programs for frames in several buffers.
const MULTI_BUFFER: KernelRelease = KernelRelease(5, 18);

/// The first kernel that tells how many instructions the verifier looked at.
const COUNTED: KernelRelease = KernelRelease(5, 16);

/// Instructions that the verifier may look at, of the million that it allows.
const VERIFIER_BUDGET: u32 = 380_000;

/// From this release on it looks at more, of the same programs.
const THOROUGH: KernelRelease = KernelRelease(7, 0);
const THOROUGH_BUDGET: u32 = 600_000;

/// One for all tests: the verifier takes its time. Its tables are as large as the largest of their rules need.
static FILTER: LazyLock<Mutex<KernelFilter>> = LazyLock::new(|| {
    // The count of connections and that of scanners have tables of their size only where the first rules ask for them.
    let mut rules = Rules { scanners: Some(SCANNERS), ..a_thousand_doors() };
    rules.doors[0].connections = 1;
    Mutex::new(KernelFilter::with_limits(&rule_set(&rules), 1024, 16_384, 256).expect("the program loads"))
});

const SCANNERS: Scanners = Scanners { ports: 20, within_ms: 10_000, hold_ms: 600_000, include_public: false };

fn filter() -> MutexGuard<'static, KernelFilter> {
    FILTER.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn has_multi_buffer() -> bool {
    KernelRelease::running().expect("the kernel says its version") >= MULTI_BUFFER
}

fn state_of_model(model: &Model, now_ms: u64) -> KernelState {
    let State { attempts, grants, flows, outgoing, held } = State::of_model(model, now_ms);
    KernelState { attempts: attempts.len(), grants, flows: flows.len(), outgoing: outgoing.len(), held }
}

/// A stream's rules with times that suit a clock which nobody sets: attempts and connections end within the stream or not
/// at all, grants not at all; and all doors take the same time, because attempts are counted by the longest.
fn in_real_time(mut rules: Rules, seed: u64) -> Rules {
    for door in &mut rules.doors {
        door.seq_timeout_ms = if seed.is_multiple_of(3) { 3 } else { 60_000 };
        door.open_for_ms = door.open_for_ms.map(|open_for_ms| open_for_ms.max(600_000));
    }
    if seed.is_multiple_of(4) {
        rules.flow_lives.established_ms = 20;
        rules.flow_lives.closing_ms = 5;
    }
    if seed.is_multiple_of(5) {
        rules.flow_lives.udp_ms = 40;
        rules.flow_lives.icmp_ms = 10;
    }
    if let Some(scanners) = rules.scanners.as_mut().filter(|_| !seed.is_multiple_of(3)) {
        scanners.within_ms = 60;
        scanners.hold_ms = 30;
    }
    rules
}

/// What is kept for the controller tells of completions alone: who is held is told in passing. `None`: nothing is decided
/// about what leaves.
fn outcome_of_model(model: &mut Model, now_ms: u64, direction: Direction, frame: &[u8]) -> Option<Outcome> {
    if direction == Direction::Leaving {
        model.leaving(now_ms, frame);
        return None;
    }
    let mut outcome = model.packet(now_ms, frame);
    outcome.events.retain(|event| event.kind != EventKind::SourceHeld);
    Some(outcome)
}

/// Whether the stream went through; it did not where a millisecond ended at the wrong time.
fn runs_through(kernel: &mut KernelFilter, model: &mut Model, stream: &Stream) -> bool {
    for (index, TimedFrame { direction, frame, .. }) in stream.packets.iter().enumerate() {
        let (now_ms, outcome) = match direction {
            Direction::Arriving => match kernel.packet(frame) {
                Some((now_ms, outcome)) => (now_ms, Some(outcome)),
                None => return false,
            },
            Direction::Leaving => match kernel.leaving(frame) {
                Some(now_ms) => (now_ms, None),
                None => return false,
            },
        };
        let actual = (outcome, kernel.state(now_ms));
        let before = state_of_model(model, now_ms);
        let expected = outcome_of_model(model, now_ms, *direction, frame);
        let expected = (expected, state_of_model(model, now_ms));
        assert!(
            actual == expected,
            "seed {}, packet {index} at {now_ms} ms, {direction:?}: {:?}\nbefore {before:?}\nmodel {expected:?}\nkernel {actual:?}\nunder {:?}",
            stream.seed,
            parse(frame),
            model.rules(),
        );
    }
    true
}

#[test]
fn outcome_and_state_agree_after_every_packet_of_random_streams() {
    if !privileged() {
        return;
    }
    let mut kernel = filter();
    for seed in 0..SEEDS {
        let stream = Stream::from_seed(seed, PACKETS);
        let rules = in_real_time(stream.rules.clone(), seed);
        kernel.multi_buffer = seed % 2 == 1 && has_multi_buffer();
        kernel.begin(&rules);
        let mut tries = 0..TRIES;
        let went_through = tries.any(|_| {
            kernel.forget();
            runs_through(&mut kernel, &mut Model::new(rules.clone()), &stream)
        });
        assert!(went_through, "seed {seed}: too busy a machine");
    }
}

/// Rules with the same doors, and nearly all else otherwise.
fn others(rules: &Rules) -> Rules {
    Rules {
        policy: if rules.policy == Policy::Pass { Policy::Drop } else { Policy::Pass },
        ping: !rules.ping,
        strict: !rules.strict,
        established: if rules.established == Established::Cut { Established::Keep } else { Established::Cut },
        protocols: Vec::new(),
        scanners: None,
        trusted: Vec::new(),
        protected: Vec::new(),
        destinations: None,
        ..rules.clone()
    }
}

#[test]
fn outcome_and_state_agree_when_a_change_of_rules_is_not_confirmed() {
    if !privileged() {
        return;
    }
    let mut kernel = filter();
    for seed in 0..SEEDS / 2 {
        let stream = Stream::from_seed(1_000 + seed, PACKETS);
        let rules = in_real_time(stream.rules.clone(), seed);
        let before = (seed % 3 != 0).then(|| others(&rules));
        let mut tries = 0..TRIES;
        let went_through = tries.any(|_| {
            let confirm_by_ms = kernel.begin_on_trial(&rules, 100, before.as_ref());
            let mut model = Model::on_trial(rules.clone(), confirm_by_ms, before.clone());
            let begins_before = now().milliseconds() < confirm_by_ms;
            begins_before
                && runs_through(&mut kernel, &mut model, &stream)
                && now().milliseconds() > confirm_by_ms
        });
        assert!(went_through, "seed {seed}: too busy a machine");
    }
}

#[test]
fn every_fixture_is_judged_as_it_says_however_it_is_cut() {
    if !privileged() {
        return;
    }
    let mut kernel = filter();
    for (policy, multi_buffer) in [(Policy::Pass, true), (Policy::Drop, false), (Policy::Drop, true)] {
        if multi_buffer && !has_multi_buffer() {
            continue;
        }
        kernel.begin(&fixtures::rules(policy));
        kernel.multi_buffer = multi_buffer;
        // The kernel takes one page for the frame and its surroundings, or several buffers of one.
        let most = if multi_buffer { 68_000 } else { 3_000 };
        let mut check = |Fixture { name, frame, expected }: Fixture| {
            let outcome = kernel.judge(&frame);
            let verdict = if outcome.pass { Verdict::Pass } else { Verdict::Drop };
            let Judgement { verdict: expected_verdict, reason } = expected.under(policy);
            assert_eq!(
                (verdict, outcome.reason.name()),
                (expected_verdict, reason),
                "{name} under {policy:?}"
            );
            if expected.under(Policy::Pass).reason == "knock" {
                kernel.forget();
            }
        };
        for fixture in fixtures::all().into_iter().filter(|fixture| fixture.frame.len() <= most) {
            truncations(&fixture).filter(|cut| cut.frame.len() < 1500).for_each(&mut check);
            check(fixture);
        }
    }
}

#[test]
fn every_fixture_that_leaves_is_noted_as_the_model_does_however_it_is_cut() {
    if !privileged() {
        return;
    }
    let rules = Rules { destinations: None, ..fixtures::rules(Policy::Drop) };
    let mut kernel = filter();
    kernel.begin(&rules);
    let mut noted = 0;
    let mut check = |Fixture { name, frame, .. }: Fixture| {
        let mut model = Model::new(rules.clone());
        model.leaving(0, &frame);
        kernel.leaving(&frame);
        let expected = model.outgoing(0).len();
        assert_eq!(kernel.state(now().milliseconds()).outgoing, expected, "{name}");
        if expected != 0 {
            noted += 1;
            kernel.forget();
        }
    };
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.frame.len() <= 3_000) {
        truncations(&fixture).filter(|cut| cut.frame.len() < 1500).for_each(&mut check);
        check(fixture);
    }
    assert!(noted > 100, "{noted}");
}

#[test]
fn strangers_fragments_pass_at_a_rate() {
    if !privileged() {
        return;
    }
    let mut kernel = filter();
    kernel.begin(&fixtures::rules(Policy::Drop));
    let fragment = |source| Frame::udp(source, SERVER).payload(&[0; 8]).fragment(185, false).build();
    let (stranger, client) = (fragment(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))), fragment(CLIENT));
    kernel.leaving(&Frame::icmp(SERVER, CLIENT).build());
    // They may fall into the end of one second and the beginning of the next.
    let times = 3 * FRAGMENTS_PER_SECOND;
    let limit = u64::from(FRAGMENTS_PER_SECOND);
    let counted = kernel.judge_often(&stranger, times);
    let [(Reason::Fragment, passed), (Reason::FragmentLimit, limited)] = counted[..] else {
        panic!("{counted:?}");
    };
    assert!((limit..=2 * limit).contains(&passed), "{passed}");
    assert_eq!(passed + limited, u64::from(times));
    assert_eq!(kernel.judge_often(&client, times), [(Reason::Fragment, u64::from(times))], "a peer's pass");
}

#[test]
fn a_grant_ends_at_its_deadline_and_gives_its_place_to_the_next() {
    if !privileged() {
        return;
    }
    let (knock, ssh) = (Port::tcp(7000), Port::tcp(22));
    let door = Door { open_for_ms: Some(600_000), ..Door::new(vec![knock], vec![ssh]) };
    let mut kernel = filter();
    kernel.begin(&Rules { doors: vec![door], ..Rules::default() });
    kernel.take_events();
    let syn = |port: Port, sequence| {
        Frame::tcp(CLIENT, SERVER).ports(40_000 + sequence as u16, port.number).sequence(sequence).build()
    };
    let told = |kernel: &mut KernelFilter, sequence| {
        assert_eq!(kernel.judge(&syn(knock, sequence)).reason.name(), "knock");
        kernel.take_events().iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut kernel, 1), [EventKind::Open]);
    assert_eq!(kernel.judge(&syn(ssh, 2)).reason.name(), "granted");
    let ack =
        |sequence: u32| Frame::tcp(CLIENT, SERVER).ports(40_000 + sequence as u16, 22).flags(ACK).build();
    assert_eq!(kernel.judge(&ack(2)).reason.name(), "flow");
    assert_eq!(told(&mut kernel, 3), [EventKind::Refresh]);
    kernel.age_grants(590_000_000_000);
    assert_eq!(kernel.judge(&syn(ssh, 4)).reason.name(), "granted");
    kernel.age_grants(10_000_000_000);
    assert_eq!(kernel.judge(&syn(ssh, 5)).reason.name(), "no_grant");
    assert_eq!(kernel.judge(&ack(5)).reason.name(), "no_grant");
    assert_eq!(kernel.judge(&ack(2)).reason.name(), "flow");
    assert_eq!(told(&mut kernel, 6), [EventKind::Open]);
    assert_eq!(kernel.judge(&syn(ssh, 7)).reason.name(), "granted");
}

/// The ports of one of a thousand doors' sequences.
fn sequence(door: u16) -> [u16; 3] {
    [20_000 + door, 30_000 + door % 10, 40_000 + door / 10]
}

fn a_thousand_doors() -> Rules {
    let doors = (0..1_000)
        .map(|door| Door::new(sequence(door).map(Port::tcp).to_vec(), vec![Port::tcp(50_000 + door)]));
    Rules { doors: doors.collect(), ..Rules::default() }
}

#[test]
fn each_of_a_thousand_doors_opens_with_its_own_sequence() {
    if !privileged() {
        return;
    }
    let mut kernel = filter();
    kernel.begin(&a_thousand_doors());
    kernel.take_events();
    for door in 0..1_000u16 {
        // Each from a source of its own: one holds eight grants at most.
        let [_, _, high, low] = u32::from(door).to_be_bytes();
        let source = IpAddr::V4(Ipv4Addr::new(192, 0, high, low));
        let syn = |port| Frame::tcp(source, SERVER).ports(40_000, port).sequence(u32::from(port)).build();
        for port in sequence(door) {
            assert_eq!(kernel.judge(&syn(port)).reason.name(), "knock");
        }
        let event = Event { kind: EventKind::Open, source, door: Some(usize::from(door)) };
        assert_eq!(kernel.take_events(), [event]);
        assert_eq!(kernel.judge(&syn(50_000 + door)).reason.name(), "granted");
        assert_eq!(kernel.judge(&syn(50_000 + (door + 1) % 1_000)).reason.name(), "no_grant");
    }
    kernel.forget();
}

#[test]
fn the_verifier_has_no_more_to_do_than_it_may() {
    if !privileged() {
        return;
    }
    let mut filter = filter();
    filter.program.load_all().expect("the kernel takes every program");
    let instructions = filter.program.verified_instructions();
    let release = KernelRelease::running().expect("the kernel says its version");
    let budget = if release < THOROUGH { VERIFIER_BUDGET } else { THOROUGH_BUDGET };
    let programs = if release < COUNTED {
        0
    } else if release < MULTI_BUFFER {
        2
    } else {
        3
    };
    assert_eq!(instructions.len(), programs, "{instructions:?}");
    for (program, instructions) in instructions {
        println!("verified {program} {instructions}");
        assert!(instructions < budget, "{program}: {instructions}");
    }
}
