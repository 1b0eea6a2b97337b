//! How an attempt advances.

use super::*;

#[test]
fn the_next_port_in_time_advances() {
    let mut host = Host::new(one_door());
    assert_quiet(&host.knock(FIRST), true, "knock");
    assert_eq!(host.alive(), [(0, 1)]);
    host.wait(10_000);
    assert_quiet(&host.knock(SECOND), true, "knock");
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn the_last_port_completes_and_the_next_packet_passes() {
    let mut host = Host::new(one_door());
    assert_quiet(&host.knock(SSH), false, "no_grant");
    let last = host.complete(0);
    assert_eq!((last.pass, last.reason), (true, "knock"));
    assert_told(&last, &[(EventKind::Open, 0)]);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn a_knock_within_the_timeout_counts_and_one_beyond_it_does_not() {
    for (late, opens) in [(10_000, true), (10_001, false)] {
        let mut host = Host::new(one_door());
        host.knocks(&[FIRST, SECOND]);
        host.wait(late).knock(THIRD);
        assert_eq!(host.deadline(0).is_some(), opens, "{late}");
    }
}

#[test]
fn the_timeout_runs_from_the_first_knock() {
    let mut host = Host::new(one_door());
    host.knock(FIRST);
    host.wait(6_000).knock(SECOND);
    host.wait(6_000).knock(THIRD);
    assert_eq!(host.deadline(0), None);
    assert_eq!(host.alive(), []);
}

#[test]
fn a_door_that_is_out_of_time_leaves_the_others_alone() {
    let quick = Door { seq_timeout_ms: 1_000, ..Door::new(vec![FIRST, SECOND, Port::tcp(1)], vec![]) };
    let mut host = Host::new(with_doors(vec![ssh(), quick]));
    host.knock(FIRST);
    assert_eq!(host.alive(), [(0, 1), (1, 1)]);
    host.wait(1_001).knock(SECOND);
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn out_of_time_a_first_knock_is_judged_afresh() {
    let mut host = Host::new(one_door());
    host.knocks(&[FIRST, SECOND]);
    host.wait(10_001).knock(FIRST);
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn a_knock_that_is_not_the_first_begins_nothing() {
    let mut host = Host::new(one_door());
    host.knocks(&[SECOND, THIRD]);
    assert_eq!(host.model.attempts(host.now_ms).len(), 0);
}

#[test]
fn doors_share_ports_and_beginnings() {
    let other = Door::new(vec![FIRST, SECOND, Port::tcp(9001)], vec![Port::tcp(25)]);
    let unrelated = Door::new(vec![SECOND, FIRST, THIRD], vec![Port::tcp(26)]);
    let mut host = Host::new(with_doors(vec![ssh(), other, unrelated]));
    host.knocks(&[FIRST, SECOND]);
    assert_eq!(host.alive(), [(0, 2), (1, 2)]);
    assert_told(&host.knock(Port::tcp(9001)), &[(EventKind::Open, 1)]);
    assert_eq!(host.deadline(0), None);
}

#[test]
fn sources_have_attempts_of_their_own() {
    let mut host = Host::new(one_door());
    host.knocks(&[FIRST, SECOND]);
    host.send(&Frame::tcp(STRANGER, SERVER).ports(1, THIRD.number));
    assert_eq!(host.alive(), [(0, 2)]);
    assert_eq!(host.model.grants(host.now_ms).len(), 0);
}

#[test]
fn a_scan_in_order_opens_nothing() {
    let mut host = Host::new(one_door());
    for number in 1..=65_535 {
        host.sent = 0;
        host.knock(Port::tcp(number));
    }
    for number in 1..=65_535 {
        host.sent = 0;
        host.knock(Port::udp(number));
    }
    assert_eq!(host.model.grants(host.now_ms).len(), 0);
}

#[test]
fn a_flag_condition_is_knockds() {
    let syn_ack = FlagsCondition { set: SYN | ACK, clear: 0 };
    let mut host = Host::new(with_doors(vec![Door { flags: syn_ack, ..ssh() }]));
    assert_quiet(&host.knock(FIRST), true, "unlisted");
    let knock = host.fresh(FIRST).flags(SYN | ACK | PSH);
    assert_quiet(&host.send(&knock), true, "knock");
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn any_takes_every_flag() {
    for flags in [0, RST, ACK | PSH, SYN | ACK] {
        let mut host = Host::new(with_doors(vec![Door { flags: FlagsCondition::ANY, ..ssh() }]));
        let knock = host.fresh(FIRST).flags(flags);
        assert_quiet(&host.send(&knock), true, "knock");
        assert_eq!(host.alive(), [(0, 1)]);
    }
}

#[test]
fn flags_of_a_udp_knock_are_not_checked() {
    let mut host = Host::new(with_doors(vec![Door {
        flags: FlagsCondition { set: URG, clear: 0 },
        ..Door::new(vec![SECOND, Port::udp(8001)], vec![SSH])
    }]));
    assert_told(&host.complete(0), &[(EventKind::Open, 0)]);
}

#[test]
fn a_packet_that_does_not_meet_the_flags_neither_advances_nor_resets() {
    let mut host = Host::new(one_door());
    host.knocks(&[FIRST, SECOND]);
    for flags in [SYN | ACK, RST, ACK, FIN, SYN | FIN] {
        for port in [FIRST, THIRD] {
            let frame = host.fresh(port).flags(flags);
            assert_quiet(&host.send(&frame), true, "unlisted");
            assert_eq!(host.alive(), [(0, 2)]);
        }
    }
}

#[test]
fn doors_whose_flags_a_hit_does_not_meet_leave() {
    let ack = Door {
        flags: FlagsCondition { set: ACK, clear: 0 },
        ..Door::new(vec![Port::udp(1), FIRST, SECOND], vec![])
    };
    let syn = Door::new(vec![Port::udp(1), FIRST, THIRD], vec![]);
    let mut host = Host::new(with_doors(vec![ack, syn]));
    host.knock(Port::udp(1));
    assert_eq!(host.alive(), [(0, 1), (1, 1)]);
    host.knock(FIRST);
    assert_eq!(host.alive(), [(1, 2)]);
}

#[test]
fn a_hit_for_another_door_alone_resets_the_doors_that_it_does_not_fit() {
    let ack = Door { flags: FlagsCondition { set: ACK, clear: 0 }, ..Door::new(vec![THIRD, FIRST], vec![]) };
    let mut host = Host::new(with_doors(vec![ssh(), ack]));
    host.knocks(&[FIRST, SECOND]);
    let frame = host.fresh(THIRD).flags(ACK);
    assert_quiet(&host.send(&frame), true, "knock");
    assert_eq!(host.alive(), [(1, 1)]);
}

#[test]
fn a_wrong_target_is_no_knock_and_does_not_reset() {
    let mut host = Host::new(with_doors(vec![Door { target: vec![OTHER_ADDRESS], ..ssh() }]));
    assert_quiet(&host.knock(FIRST), true, "unlisted");
    host.send(&Frame::tcp(CLIENT, OTHER_ADDRESS).ports(1, FIRST.number));
    assert_eq!(host.alive(), [(0, 1)]);
    host.knocks(&[SECOND, THIRD]);
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn the_target_does_not_limit_what_is_opened() {
    let mut host = Host::new(with_doors(vec![Door { target: vec![OTHER_ADDRESS], ..ssh() }]));
    for port in [FIRST, SECOND, THIRD] {
        let frame = match port.protocol {
            Protocol::Tcp => Frame::tcp(CLIENT, OTHER_ADDRESS),
            Protocol::Udp => Frame::udp(CLIENT, OTHER_ADDRESS),
        };
        host.send(&frame.ports(1, port.number));
    }
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn doors_with_one_sequence_are_told_apart_by_their_targets() {
    let door =
        |target, opens| Door { target: vec![target], ..Door::new(vec![SECOND, Port::udp(1)], vec![opens]) };
    let mut host = Host::new(with_doors(vec![door(SERVER, SSH), door(OTHER_ADDRESS, Port::tcp(25))]));
    host.knock(SECOND);
    assert_eq!(host.alive(), [(0, 1)]);
    assert_told(&host.knock(Port::udp(1)), &[(EventKind::Open, 0)]);
}

#[test]
fn one_packet_may_complete_two_doors() {
    let door = |target, opens| Door { target, ..Door::new(vec![SECOND, Port::udp(1)], vec![opens]) };
    let doors = vec![door(vec![SERVER], SSH), door(vec![SERVER, OTHER_ADDRESS], Port::tcp(25))];
    let mut host = Host::new(with_doors(doors));
    assert_told(&host.complete(0), &[(EventKind::Open, 0), (EventKind::Open, 1)]);
}

#[test]
fn a_fragment_is_no_knock_and_does_not_reset() {
    let mut host = Host::new(one_door());
    host.knock(FIRST);
    let frame = host.fresh(SECOND).fragment(0, true);
    assert_quiet(&host.send(&frame), true, "unlisted");
    let frame = host.fresh(Port::tcp(12_345)).fragment(0, true);
    assert_quiet(&host.send(&frame), true, "unlisted");
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn an_ipv6_source_knocks_like_any_other() {
    let (client, server): (IpAddr, IpAddr) = ("2001:db8::7".parse().unwrap(), "2001:db8::1".parse().unwrap());
    let mut host = Host::new(one_door());
    host.send(&Frame::tcp(client, server).ports(1, 7000));
    host.send(&Frame::udp(client, server).ports(1, 8000).fragment(0, false));
    let last = host.send(&Frame::tcp(client, server).ports(1, 9000).extension(HOP_BY_HOP, 8));
    assert_eq!(last.events, [Event { kind: EventKind::Open, source: client, door: Some(0) }]);
    let syn = Frame::tcp(client, server).ports(1, 22);
    assert_quiet(&host.send(&syn), true, "granted");
}
