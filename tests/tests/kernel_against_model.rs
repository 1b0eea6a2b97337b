//! The loaded kernel program against the reference model. Needs root.

use knock_tests::fixtures::{self, Fixture, Verdict, truncations};
use knock_tests::kernel::{KernelFilter, KernelState};
use knock_tests::lab::privileged;
use knock_tests::model::{Door, Model, Port, Rules, parse};
use knock_tests::rule_set::rule_set;
use knock_tests::state::State;
use knock_tests::stream::{Stream, TimedFrame};
use std::sync::{LazyLock, Mutex, MutexGuard};

const SEEDS: u64 = 60;
const PACKETS: usize = 200;

/// Instructions that the verifier may look at: half of what it allows.
const VERIFIER_BUDGET: u32 = 500_000;

/// One for all tests: the verifier takes its time.
static FILTER: LazyLock<Mutex<KernelFilter>> = LazyLock::new(|| {
    // The count of connections has a table of its size only where the first rules limit some.
    let limited = Door { connections: 1, ..Door::new(vec![Port::tcp(7000)], vec![Port::tcp(22)]) };
    let rules = rule_set(&Rules { doors: vec![limited], ..Rules::default() });
    Mutex::new(KernelFilter::with_limits(&rules, 1024, 16_384, 256).expect("the program loads"))
});

fn filter() -> MutexGuard<'static, KernelFilter> {
    FILTER.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn state_of_model(model: &Model, now_ms: u64) -> KernelState {
    let State { attempts, grants, flows } = State::of_model(model, now_ms);
    KernelState { attempts: attempts.len(), grants, flows: flows.len() }
}

/// A stream's rules with times that suit a clock which nobody sets: attempts and connections end within the stream or not
/// at all, grants not at all; and all doors take the same time, because attempts are counted by the longest.
fn in_real_time(rules: Rules, seed: u64) -> Rules {
    let mut rules = Rules { destinations: Vec::new(), ..rules };
    for door in &mut rules.doors {
        door.seq_timeout_ms = if seed % 3 == 0 { 3 } else { 60_000 };
        door.open_for_ms = door.open_for_ms.map(|open_for_ms| open_for_ms.max(600_000));
    }
    if seed % 4 == 0 {
        rules.flow_lives.established_ms = 20;
        rules.flow_lives.closing_ms = 5;
    }
    rules
}

/// Whether the stream went through; it did not where a millisecond ended at the wrong time.
fn runs_through(kernel: &mut KernelFilter, rules: &Rules, stream: &Stream) -> bool {
    kernel.forget();
    let mut model = Model::new(rules.clone());
    for (index, TimedFrame { frame, .. }) in stream.packets.iter().enumerate() {
        let Some((now_ms, outcome)) = kernel.packet(frame) else { return false };
        let actual = (outcome, kernel.state(now_ms));
        let before = state_of_model(&model, now_ms);
        let expected = (model.packet(now_ms, frame), state_of_model(&model, now_ms));
        assert!(
            actual == expected,
            "seed {}, packet {index} at {now_ms} ms: {:?}\nbefore {before:?}\nmodel {expected:?}\nkernel {actual:?}\nunder {rules:?}",
            stream.seed,
            parse(frame),
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
        kernel.multi_buffer = seed % 2 == 1;
        kernel.begin(&rules);
        let tries = 50;
        assert!(
            (0..tries).any(|_| runs_through(&mut kernel, &rules, &stream)),
            "seed {seed}: too busy a machine"
        );
    }
}

#[test]
fn every_fixture_is_judged_as_it_says_however_it_is_cut() {
    if !privileged() {
        return;
    }
    let mut kernel = filter();
    kernel.begin(&fixtures::rules());
    for multi_buffer in [false, true] {
        kernel.multi_buffer = multi_buffer;
        // The kernel takes one page for the frame and its surroundings, or several buffers of one.
        let most = if multi_buffer { 68_000 } else { 3_000 };
        let mut check = |Fixture { name, frame, expected }: Fixture| {
            let outcome = kernel.judge(&frame);
            let verdict = if outcome.pass { Verdict::Pass } else { Verdict::Drop };
            assert_eq!((verdict, outcome.reason.name()), (expected.verdict, expected.reason), "{name}");
            if expected.reason == "knock" {
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
fn the_verifier_has_no_more_to_do_than_it_may() {
    if !privileged() {
        return;
    }
    let instructions = filter().program.verified_instructions();
    println!("{instructions:?}");
    assert_eq!(instructions.len(), 2);
    for (program, instructions) in instructions {
        assert!(instructions < VERIFIER_BUDGET, "{program}: {instructions}");
    }
}
