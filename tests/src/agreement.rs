//! The core, in ordinary memory, against the reference model.

use crate::core::CoreFilter;
use crate::model::{Model, parse};
use crate::state::State;
use crate::stream::{Direction, Stream, TimedFrame};

/// # Panics
/// Where they don't agree on the outcome of a packet, or on what is remembered behind it.
pub fn assert_agrees(stream: &Stream) {
    let Stream { seed, rules, packets } = stream;
    let (mut model, mut core) = (Model::new(rules.clone()), CoreFilter::new(rules));
    let mut before = State::default();
    for (index, TimedFrame { at_ms, direction, frame }) in packets.iter().enumerate() {
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
            "seed {seed}, packet {index} at {at_ms} ms, {direction:?}: {:?}\nbehind the one before {before:?}\nmodel {expected:?}\ncore {actual:?}\nunder {rules:?}",
            parse(frame),
        );
        before = actual.1;
    }
}
