//! The streams must reach what they are for.

use super::*;
use crate::model::{EventKind, FlowState, Model, Opens};
use std::collections::BTreeMap;

#[test]
fn a_seed_gives_one_stream() {
    let (first, second) = (Stream::from_seed(7, 200), Stream::from_seed(7, 200));
    assert_eq!((first.rules, first.packets), (second.rules, second.packets));
    assert_ne!(Stream::from_seed(8, 200).packets, Stream::from_seed(7, 200).packets);
}

#[test]
fn rule_sets_are_such_as_a_configuration_may_say() {
    for seed in 0..500 {
        let rules = Stream::from_seed(seed, 0).rules;
        assert!((1..=6).contains(&rules.doors.len()));
        for (index, door) in rules.doors.iter().enumerate() {
            assert!((1..=32).contains(&door.sequence.len()));
            assert!(door.revokes.iter().all(|&revoked| revoked < rules.doors.len()));
            assert!(!door.sequence.iter().any(|&port| rules.is_public(port)));
            if let Opens::Ports(ranges) = &door.opens {
                assert!(!ranges.iter().any(|range| rules.public.contains(range)));
            }
            for other in &rules.doors[index + 1..] {
                let begins =
                    door.sequence.starts_with(&other.sequence) || other.sequence.starts_with(&door.sequence);
                assert!(
                    !begins
                        || (door.sequence.len() == other.sequence.len()
                            && rules::are_apart(&door.target, &other.target))
                );
            }
        }
    }
}

#[test]
fn traffic_meets_every_reason_event_and_state_often() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut see = |what: String| *seen.entry(what).or_default() += 1;
    for seed in 0..150 {
        let stream = Stream::from_seed(seed, 400);
        let mut model = Model::new(stream.rules);
        let mut last_ms = 0;
        for TimedFrame { at_ms, direction, frame } in stream.packets {
            assert!(at_ms >= last_ms);
            last_ms = at_ms;
            model.outgoing(at_ms).values().for_each(|flow| see(format!("outgoing {:?}", flow.state)));
            if direction == Direction::Leaving {
                model.leaving(at_ms, &frame);
                continue;
            }
            let outcome = model.packet(at_ms, &frame);
            see(outcome.reason.to_owned());
            outcome.events.iter().for_each(|event| see(format!("{:?}", event.kind)));
            for (key, flow) in model.flows(at_ms) {
                see(format!("{:?} {:?}", key.protocol, flow.state));
            }
            for attempt in model.attempts(at_ms).values() {
                see(format!("completed {}", attempt.completed));
                see(format!("doors {}", attempt.doors.len().min(2)));
                see(format!("step {}", attempt.doors[0].1.min(4)));
            }
        }
    }
    let reasons = [
        "not_ip",
        "malformed",
        "fragment",
        "not_ours",
        "other_protocol",
        "icmp",
        "held",
        "public",
        "flow",
        "trusted",
        "granted",
        "knock",
        "unlisted",
        "no_grant",
        "policy_drop",
        "would_drop",
    ];
    let events = [EventKind::Open, EventKind::Refresh, EventKind::Close, EventKind::SourceHeld];
    let states = [FlowState::HalfOpen, FlowState::Established, FlowState::Closing];
    let others = [
        "completed true",
        "completed false",
        "doors 1",
        "doors 2",
        "step 1",
        "step 2",
        "step 3",
        "step 4",
        "Udp HalfOpen",
        "Udp Established",
    ];
    let expected = reasons.map(str::to_owned).into_iter().chain(events.map(|kind| format!("{kind:?}")));
    let expected = expected.chain(states.map(|state| format!("Tcp {state:?}")));
    let expected = expected.chain(states.map(|state| format!("outgoing {state:?}")));
    for what in expected.chain(others.map(str::to_owned)) {
        let count = seen.get(&what).copied().unwrap_or(0);
        assert!(count >= 10, "{what}: {count} times in {seen:?}");
    }
}
