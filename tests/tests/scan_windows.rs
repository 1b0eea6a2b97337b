//! When hits on closed ports are one scan, and when another: the core and the reference model, side by side.

use knock_tests::core::CoreFilter;
use knock_tests::model::{Model, PortRange, Protocol, Rules, Scanners};
use knock_tests::packet::Frame;
use std::net::{IpAddr, Ipv4Addr};

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const WITHIN_MS: u64 = 10_000;
const HOLD_MS: u64 = 60_000;

/// What became of SYNs to these ports at these milliseconds, where two closed ports are a scan.
fn reasons(hits: &[(u64, u16)]) -> Vec<&'static str> {
    let rules = Rules {
        protected: vec![PortRange { protocol: Protocol::Tcp, first: 1, last: 1_000 }],
        scanners: Some(Scanners { ports: 2, within_ms: WITHIN_MS, hold_ms: HOLD_MS, include_public: false }),
        ..Rules::default()
    };
    let (mut core, mut model) = (CoreFilter::new(&rules), Model::new(rules));
    let reason = |&(now_ms, port): &(u64, u16)| {
        let frame = Frame::tcp(SOURCE, SERVER).ports(40_000, port).build();
        let outcome = core.packet(now_ms, &frame);
        assert_eq!(outcome, model.packet(now_ms, &frame), "port {port} at {now_ms} ms");
        outcome.reason
    };
    hits.iter().map(reason).collect()
}

#[test]
fn a_port_counts_until_the_time_is_over() {
    assert_eq!(reasons(&[(1_000, 1), (10_999, 2), (10_999, 3)]), ["no_grant", "no_grant", "held"]);
    assert_eq!(reasons(&[(1_000, 1), (11_000, 2), (11_000, 2)]), ["no_grant"; 3]);
    // That was the first of another scan.
    assert_eq!(
        reasons(&[(1_000, 1), (11_000, 2), (20_999, 3), (20_999, 2)]),
        ["no_grant", "no_grant", "no_grant", "held"]
    );
}

#[test]
fn a_source_is_held_until_its_time_is_over() {
    let held_at_1 = [(0, 1), (1, 2)];
    for (now_ms, reason) in [(2, "held"), (60_000, "held"), (60_001, "no_grant")] {
        let hits = [&held_at_1[..], &[(now_ms, 3)]].concat();
        assert_eq!(reasons(&hits).last(), Some(&reason), "at {now_ms} ms");
    }
}
