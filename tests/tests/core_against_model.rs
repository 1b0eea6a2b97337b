//! The core, in ordinary memory, against the reference model.

use knock_tests::agreement::assert_agrees;
use knock_tests::core::CoreFilter;
use knock_tests::fixtures::{self, Fixture, Judgement, POLICIES, Verdict, truncations};
use knock_tests::model::{Model, Policy, Rules};
use knock_tests::packet::Frame;
use knock_tests::state::State;
use knock_tests::stream::Stream;
use std::net::{IpAddr, Ipv4Addr};

const SEEDS: u64 = 100;
const PACKETS: usize = 400;

#[test]
fn outcome_and_state_agree_after_every_packet_of_random_streams() {
    for seed in 0..SEEDS {
        assert_agrees(&Stream::from_seed(seed, PACKETS));
    }
}

/// Longer than anything in memory lasts that one packet leaves there.
const A_WHILE_MS: u64 = 600_000;

/// Every fixture, and its frame at every length.
fn for_every_fixture(mut check: impl FnMut(Fixture)) {
    for fixture in fixtures::all() {
        truncations(&fixture).filter(|cut| cut.frame.len() < 1500).for_each(&mut check);
        check(fixture);
    }
}

#[test]
fn every_fixture_is_judged_as_it_says_however_it_is_cut() {
    for policy in POLICIES {
        let mut core = CoreFilter::new(&fixtures::rules(policy));
        let mut now_ms = 0;
        for_every_fixture(|Fixture { name, frame, expected }| {
            now_ms += A_WHILE_MS;
            let outcome = core.packet(now_ms, &frame);
            let verdict = if outcome.pass { Verdict::Pass } else { Verdict::Drop };
            let Judgement { verdict: expected_verdict, reason } = expected.under(policy);
            assert_eq!((verdict, outcome.reason), (expected_verdict, reason), "{name} under {policy:?}");
        });
    }
}

#[test]
fn every_fixture_that_leaves_is_noted_as_the_model_does_however_it_is_cut() {
    let rules = Rules { destinations: None, ..fixtures::rules(Policy::Drop) };
    let (mut model, mut core) = (Model::new(rules.clone()), CoreFilter::new(&rules));
    let (mut now_ms, mut noted) = (0, 0);
    for_every_fixture(|Fixture { name, frame, .. }| {
        now_ms += A_WHILE_MS;
        model.leaving(now_ms, &frame);
        core.leaving(now_ms, &frame);
        let expected = State::of_model(&model, now_ms);
        noted += expected.outgoing.len();
        assert_eq!(core.state(now_ms), expected, "{name}");
    });
    assert!(noted > 100, "{noted}");
}

#[test]
fn strangers_fragments_pass_at_the_same_rate() {
    let rules = fixtures::rules(Policy::Drop);
    let (mut model, mut core) = (Model::new(rules.clone()), CoreFilter::new(&rules));
    let local = "198.51.100.1".parse().unwrap();
    let fragment = |source: u32| {
        let source = IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + source));
        Frame::udp(source, local).payload(&[0; 8]).fragment(185, false).build()
    };
    // Two of the sources are this machine's peers; one of them stays one all the time.
    let pings = [(1, 0), (2, 0), (2, 20_000)];
    for step in 0..60 {
        let at_ms = step * 700;
        for (source, _) in pings.iter().filter(|(_, ms)| (at_ms..at_ms + 700).contains(ms)) {
            let ping = Frame::icmp(local, IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + source))).build();
            model.leaving(at_ms, &ping);
            core.leaving(at_ms, &ping);
        }
        let mut passed = 0;
        for count in 0..1_500 {
            let frame = fragment(count % 10);
            let expected = model.packet(at_ms, &frame);
            passed += u32::from(expected.pass);
            assert_eq!(core.packet(at_ms, &frame), expected, "{count} at {at_ms} ms");
        }
        assert!(passed < 1_500);
    }
}
