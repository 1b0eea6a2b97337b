//! The core, in ordinary memory, against the reference model.

use knock_tests::core::CoreFilter;
use knock_tests::fixtures::{self, Fixture, Verdict, truncations};
use knock_tests::model::{Model, Rules, parse};
use knock_tests::state::State;
use knock_tests::stream::{Stream, TimedFrame};

const SEEDS: u64 = 100;
const PACKETS: usize = 400;

/// A stream's rules; what rules of the program don't say yet is left out.
fn without_destinations(rules: Rules) -> Rules {
    Rules { destinations: None, ..rules }
}

#[test]
fn outcome_and_state_agree_after_every_packet_of_random_streams() {
    for seed in 0..SEEDS {
        let Stream { rules, packets, .. } = Stream::from_seed(seed, PACKETS);
        let rules = without_destinations(rules);
        let (mut model, mut core) = (Model::new(rules.clone()), CoreFilter::new(&rules));
        for (index, TimedFrame { at_ms, frame }) in packets.iter().enumerate() {
            let before = (State::of_model(&model, *at_ms), core.state(*at_ms));
            let expected = (model.packet(*at_ms, frame), State::of_model(&model, *at_ms));
            let actual = (core.packet(*at_ms, frame), core.state(*at_ms));
            assert!(
                actual == expected,
                "seed {seed}, packet {index} at {at_ms} ms: {:?}\nbefore {before:?}\nmodel {expected:?}\ncore {actual:?}\nunder {rules:?}",
                parse(frame),
            );
        }
    }
}

#[test]
fn every_fixture_is_judged_as_it_says_however_it_is_cut() {
    let rules = fixtures::rules();
    let mut core = CoreFilter::new(&rules);
    let mut now_ms = 0;
    let mut check = |Fixture { name, frame, expected }: Fixture| {
        // Nothing lasts as long.
        now_ms += 60_000;
        let outcome = core.packet(now_ms, &frame);
        let verdict = if outcome.pass { Verdict::Pass } else { Verdict::Drop };
        assert_eq!((verdict, outcome.reason), (expected.verdict, expected.reason), "{name}");
    };
    for fixture in fixtures::all() {
        truncations(&fixture).filter(|cut| cut.frame.len() < 1500).for_each(&mut check);
        check(fixture);
    }
}
