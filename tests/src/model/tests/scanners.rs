//! Sources that hit one closed port after another are held.

use super::*;

fn scanners() -> Scanners {
    Scanners { ports: 3, within_ms: 10_000, hold_ms: 60_000, include_public: false }
}

fn watched(rules: Rules) -> Rules {
    Rules { scanners: Some(scanners()), public: vec![PortRange::from(Port::tcp(80))], ..rules }
}

fn ports(first: u16) -> [Port; 3] {
    [Port::tcp(first), Port::udp(first), Port::tcp(first + 1)]
}

fn is_held(host: &Host) -> bool {
    host.model.held(host.now_ms).contains(&CLIENT)
}

#[test]
fn the_packet_that_is_one_too_many_is_judged_as_before() {
    for (rules, reason) in [(one_door(), "unlisted"), (closed(), "policy_drop")] {
        let mut host = Host::new(watched(rules));
        assert_quiet(&host.knocks(&ports(100)[..2]), reason == "unlisted", reason);
        assert!(!is_held(&host));
        let last = host.knock(ports(100)[2]);
        assert_eq!(last.reason, reason);
        assert_eq!(last.events, [Event { kind: EventKind::SourceHeld, source: CLIENT, door: None }]);
        assert!(is_held(&host));
        assert_quiet(&host.knock(ports(100)[2]), false, "held");
    }
}

#[test]
fn a_held_source_loses_everything_but_public_ports() {
    let mut host = Host::new(watched(one_door()));
    host.knocks(&ports(100));
    for port in [FIRST, SSH, Port::tcp(12_345), Port::udp(9)] {
        assert_quiet(&host.knock(port), false, "held");
    }
    assert_quiet(&host.knock(Port::tcp(80)), true, "public");
    assert_quiet(&host.send(&syn((STRANGER, 1), (SERVER, 12_345))), true, "unlisted");
    assert_quiet(&host.send(&Frame::icmp(CLIENT, SERVER)), true, "icmp");
    assert_quiet(&host.send(&syn((CLIENT, 1), (SERVER, 1)).data_offset(4)), false, "malformed");
}

#[test]
fn with_include_public_it_loses_public_ports_too() {
    let scanners = Some(Scanners { include_public: true, ..scanners() });
    let mut host = Host::new(Rules { scanners, ..watched(closed()) });
    host.knocks(&ports(100));
    assert_quiet(&host.knock(Port::tcp(80)), false, "held");
    assert_quiet(&host.send(&datagram((CLIENT, 67), (SERVER, 68))), true, "public");
}

#[test]
fn different_ports_count_and_repeats_do_not() {
    let mut host = Host::new(watched(closed()));
    for _ in 0..5 {
        host.knocks(&ports(100)[..2]);
    }
    assert!(!is_held(&host));
}

#[test]
fn what_counts_is_a_closed_port() {
    let opening = [SYN, SYN | PSH];
    let other = [SYN | ACK, ACK, FIN, RST, 0];
    let hits = |rules: Rules, flags: &[u8]| {
        let mut host = Host::new(watched(rules));
        for (port, flags) in (100..110).zip(flags.iter().cycle()) {
            host.send(&syn((CLIENT, 1), (SERVER, port)).flags(*flags));
        }
        is_held(&host)
    };
    let protected = vec![PortRange { protocol: Protocol::Tcp, first: 100, last: 200 }];
    let all: std::collections::HashSet<Port> = (100..110).map(Port::tcp).collect();
    for (flags, opens) in [(&opening[..], true), (&other, false)] {
        assert_eq!(hits(one_door(), flags), opens, "ports of no rule: what opens a connection");
        assert!(!hits(Rules { listeners: all.clone(), ..one_door() }, flags), "somebody listens");
        assert!(hits(closed(), flags));
        assert!(hits(Rules { listeners: all.clone(), ..closed() }, flags));
        assert!(hits(Rules { protected: protected.clone(), ..one_door() }, flags));
    }
}

#[test]
fn public_ports_do_not_count() {
    let mut host = Host::new(Rules {
        public: vec![PortRange { protocol: Protocol::Tcp, first: 100, last: 200 }],
        scanners: Some(scanners()),
        ..closed()
    });
    host.knocks(&[100, 101, 102, 103, 104].map(Port::tcp));
    assert!(!is_held(&host));
}

#[test]
fn hits_count_while_the_first_is_recent() {
    let mut host = Host::new(watched(closed()));
    host.knocks(&ports(100)[..2]);
    host.wait(9_999).knock(ports(100)[2]);
    assert!(is_held(&host));
    let mut host = Host::new(watched(closed()));
    host.knocks(&ports(100)[..2]);
    host.wait(10_000).knock(ports(100)[2]);
    assert!(!is_held(&host));
    host.knocks(&ports(100)[..2]);
    assert!(is_held(&host));
}

#[test]
fn after_the_hold_it_counts_afresh() {
    let mut host = Host::new(watched(closed()));
    host.knocks(&ports(100));
    host.wait(30_000).knocks(&ports(200));
    host.wait(29_999);
    assert_quiet(&host.knock(SSH), false, "held");
    host.wait(1);
    assert!(!is_held(&host));
    assert_quiet(&host.knocks(&ports(100)[..2]), false, "policy_drop");
    assert!(!is_held(&host));
    host.knock(ports(100)[2]);
    assert!(is_held(&host));
}

#[test]
fn a_hold_blocks_no_attempt() {
    let mut host = Host::new(watched(one_door()));
    host.knocks(&ports(100));
    assert_quiet(&host.knock(FIRST), false, "held");
    host.knock(SECOND);
    assert_eq!(host.alive(), [(0, 2)]);
    let last = host.knock(THIRD);
    assert_eq!((last.pass, last.reason), (false, "held"));
    assert_told(&last, &[(EventKind::Open, 0)]);
    assert_quiet(&host.knock(SSH), true, "granted");
    assert_quiet(&host.knock(Port::tcp(12_345)), true, "unlisted");
    host.wait(30_000);
    assert_quiet(&host.knock(SSH), false, "held");
}

#[test]
fn knocks_are_hits_too() {
    let mut host = Host::new(watched(closed()));
    let last = host.complete(0);
    assert_eq!(last.events.first().map(|event| event.kind), Some(EventKind::SourceHeld));
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn whoever_is_known_is_not_held() {
    let from = Network { address: CLIENT, prefix_length: 32 };
    let to = Some(vec![PortRange::from(Port::tcp(1))]);
    let mut trusting = Host::new(Rules { trusted: vec![Trusted { from, to }], ..watched(closed()) });
    let mut granting = Host::new(watched(closed()));
    granting.knocks(&[FIRST, SECOND]);
    granting.wait(9_999).knock(THIRD);
    let mut speaking = Host::new(watched(closed()));
    speaking.leave(&Frame::icmp(SERVER, CLIENT));
    for host in [&mut trusting, &mut granting, &mut speaking] {
        host.wait(1);
        assert_quiet(&host.knocks(&ports(100)), false, "policy_drop");
    }
    assert!(!is_held(&trusting) && !is_held(&speaking));
    speaking.wait(29_998);
    speaking.knocks(&ports(100));
    assert!(!is_held(&speaking));
    speaking.wait(1).knock(Port::tcp(300));
    assert!(is_held(&speaking), "it has hit enough ports, and is a stranger again");
}

#[test]
fn it_can_be_released() {
    let mut host = Host::new(watched(closed()));
    assert!(!host.model.release(host.now_ms, CLIENT));
    host.knocks(&ports(100));
    assert!(host.model.release(host.now_ms, CLIENT));
    assert_quiet(&host.knocks(&ports(100)[..2]), false, "policy_drop");
    assert!(!is_held(&host));
}

#[test]
fn without_enforcement_nobody_loses_anything() {
    let mut host = Host::new(Rules { enforce: false, ..watched(one_door()) });
    host.knocks(&ports(100));
    assert_quiet(&host.knock(Port::tcp(12_345)), true, "would_drop");
}
