//! The core, in ordinary memory, against the reference model.

use knock_tests::core::CoreFilter;
use knock_tests::fixtures::{self, Fixture, Verdict, truncations};
use knock_tests::model::{Model, parse};
use knock_tests::state::State;
use knock_tests::stream::{Direction, Stream, TimedFrame};

const SEEDS: u64 = 100;
const PACKETS: usize = 400;

#[test]
fn outcome_and_state_agree_after_every_packet_of_random_streams() {
    for seed in 0..SEEDS {
        let Stream { rules, packets, .. } = Stream::from_seed(seed, PACKETS);
        let (mut model, mut core) = (Model::new(rules.clone()), CoreFilter::new(&rules));
        for (index, TimedFrame { at_ms, direction, frame }) in packets.iter().enumerate() {
            let before = (State::of_model(&model, *at_ms), core.state(*at_ms));
            let (expected, actual) = match direction {
                Direction::Arriving => (Some(model.packet(*at_ms, frame)), Some(core.packet(*at_ms, frame))),
                Direction::Leaving => {
                    model.leaving(*at_ms, frame);
                    core.leaving(*at_ms, frame);
                    (None, None)
                }
            };
            let expected = (expected, State::of_model(&model, *at_ms));
            let actual = (actual, core.state(*at_ms));
            assert!(
                actual == expected,
                "seed {seed}, packet {index} at {at_ms} ms, {direction:?}: {:?}\nbefore {before:?}\nmodel {expected:?}\ncore {actual:?}\nunder {rules:?}",
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
