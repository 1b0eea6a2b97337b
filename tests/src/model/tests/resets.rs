//! What resets an attempt, and what does not (4a.3, 4a.10).

use super::*;

/// What two knocks and then `frame` leave of the attempt.
fn after(rules: Rules, frame: Frame) -> Vec<(usize, usize)> {
    let mut host = Host::new(rules);
    host.knocks(&[FIRST, SECOND]);
    assert_eq!(host.alive(), [(0, 2)]);
    host.send(&frame);
    host.alive()
}

fn syn(number: u16) -> Frame {
    Frame::tcp(CLIENT, SERVER).ports(50_000, number)
}

fn datagram(number: u16) -> Frame {
    Frame::udp(CLIENT, SERVER).ports(50_000, number)
}

const KEPT: [(usize, usize); 1] = [(0, 2)];
const RESET: [(usize, usize); 0] = [];

#[test]
fn a_syn_or_a_datagram_to_any_other_port_resets() {
    assert_eq!(after(one_door(), syn(12_345)), RESET);
    assert_eq!(after(one_door(), datagram(12_345)), RESET);
    assert_eq!(after(one_door(), syn(0)), RESET);
}

#[test]
fn a_syn_to_a_protected_port_without_door_resets() {
    let protected = vec![PortRange::from(Port::tcp(8080))];
    assert_eq!(after(Rules { protected, ..one_door() }, syn(8080)), RESET);
}

#[test]
fn other_tcp_packets_to_no_knock_port_do_not_reset() {
    for flags in [SYN | ACK, ACK, RST, FIN | ACK, 0] {
        assert_eq!(after(one_door(), syn(12_345).flags(flags)), KEPT);
    }
}

#[test]
fn a_syn_with_fin_opens_a_connection_and_resets() {
    assert_eq!(after(one_door(), syn(12_345).flags(SYN | FIN)), RESET);
}

#[test]
fn a_tcp_packet_that_meets_any_doors_flags_resets_like_a_syn() {
    let rst = FlagsCondition { set: RST, clear: 0 };
    let rules = with_doors(vec![ssh(), Door { flags: rst, ..Door::new(vec![Port::tcp(1)], vec![]) }]);
    assert_eq!(after(rules.clone(), syn(12_345).flags(RST)), RESET);
    assert_eq!(after(rules, syn(12_345).flags(ACK)), KEPT);
}

#[test]
fn a_packet_to_a_public_port_disturbs_nothing() {
    let public = vec![PortRange::from(Port::tcp(80)), PortRange::from(Port::udp(443))];
    let rules = Rules { public, ..one_door() };
    assert_eq!(after(rules.clone(), syn(80)), KEPT);
    assert_eq!(after(rules, datagram(443)), KEPT);
}

#[test]
fn a_packet_to_a_port_that_some_door_opens_does_not_reset() {
    let other = Door::new(vec![Port::tcp(1)], vec![Port::udp(60_000)]);
    let rules = with_doors(vec![ssh(), other]);
    assert_eq!(after(rules.clone(), syn(22)), KEPT);
    assert_eq!(after(rules.clone(), datagram(60_000)), KEPT);
    assert_eq!(after(rules, datagram(22)), RESET);
}

#[test]
fn a_packet_to_a_port_with_a_listener_does_not_reset() {
    let listeners = [Port::tcp(3306)].into();
    let rules = Rules { listeners, ..one_door() };
    assert_eq!(after(rules.clone(), syn(3306)), KEPT);
    assert_eq!(after(rules, datagram(3306)), RESET);
}

#[test]
fn a_wrong_knock_on_a_port_with_a_listener_does_not_reset() {
    let other = Door::new(vec![Port::tcp(3306), THIRD], vec![]);
    let rules = Rules { listeners: [Port::tcp(3306)].into(), ..with_doors(vec![ssh(), other]) };
    assert_eq!(after(rules, syn(3306)), KEPT);
}

#[test]
fn unless_strict_only_a_port_that_belongs_to_some_door_resets() {
    let other = Door::new(vec![Port::tcp(5), Port::udp(6)], vec![]);
    let rules = Rules { strict: false, ..with_doors(vec![ssh(), other]) };
    assert_eq!(after(rules.clone(), syn(12_345)), KEPT);
    assert_eq!(after(rules.clone(), datagram(12_345)), KEPT);
    assert_eq!(after(rules, datagram(6)), RESET);
}

#[test]
fn a_wrong_knock_that_is_the_first_of_a_door_begins_a_new_attempt() {
    let other = Door::new(vec![Port::tcp(5), Port::udp(6)], vec![]);
    assert_eq!(after(with_doors(vec![ssh(), other]), syn(5)), [(1, 1)]);
}

#[test]
fn a_knock_that_comes_too_early_resets() {
    let mut host = Host::new(one_door());
    host.knocks(&[FIRST, THIRD]);
    assert_eq!(host.alive(), []);
}

#[test]
fn hits_of_a_trusted_source_on_ports_open_to_it_do_not_reset() {
    let from = Network { address: CLIENT, prefix_length: 32 };
    let trusted = vec![Trusted { from, to: Some(vec![PortRange::from(Port::tcp(8080))]) }];
    let protected = vec![PortRange::from(Port::tcp(8080)), PortRange::from(Port::tcp(8081))];
    let rules = Rules { trusted, protected, ..one_door() };
    assert_eq!(after(rules.clone(), syn(8080)), KEPT);
    assert_eq!(after(rules, syn(8081)), RESET);
}

#[test]
fn hits_of_a_granted_source_on_ports_open_to_it_do_not_reset() {
    let all = Door { opens: Opens::Any, ..Door::new(vec![Port::udp(1)], vec![]) };
    let protected = vec![PortRange::from(Port::tcp(8080))];
    let mut host = Host::new(Rules { protected, ..with_doors(vec![ssh(), all]) });
    host.complete(1);
    host.knocks(&[FIRST, SECOND]);
    assert_quiet(&host.knock(Port::tcp(8080)), true, "granted");
    assert_eq!(host.alive(), KEPT);
}

#[test]
fn a_trusted_source_can_knock() {
    let from = Network { address: CLIENT, prefix_length: 24 };
    let mut host = Host::new(Rules { trusted: vec![Trusted { from, to: None }], ..one_door() });
    assert_told(&host.complete(0), &[(EventKind::Open, 0)]);
}

#[test]
fn a_knock_on_a_port_open_to_the_source_advances() {
    let door = Door::new(vec![SSH, SECOND, Port::udp(8001)], vec![SSH]);
    let mut host = Host::new(with_doors(vec![door]));
    assert_quiet(&host.knock(SSH), false, "no_grant");
    host.knocks(&[SECOND, Port::udp(8001)]);
    assert_quiet(&host.knock(SSH), true, "granted");
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn a_packet_of_a_flow_is_not_shown_to_the_matcher() {
    let any = Door { flags: FlagsCondition::ANY, ..Door::new(vec![FIRST, SSH, THIRD], vec![]) };
    let mut host = Host::new(with_doors(vec![ssh(), any]));
    host.complete(0);
    let syn = host.fresh(SSH);
    host.send(&syn);
    host.knock(FIRST);
    assert_quiet(&host.send(&syn.flags(ACK)), true, "flow");
    assert_eq!(host.alive(), [(0, 1), (1, 1)]);
    let stray = host.fresh(SSH).flags(ACK);
    assert_quiet(&host.send(&stray), true, "granted");
    assert_eq!(host.alive(), [(1, 2)]);
}

#[test]
fn icmp_and_later_fragments_disturb_nothing() {
    assert_eq!(after(one_door(), Frame::icmp(CLIENT, SERVER)), KEPT);
    assert_eq!(after(one_door(), syn(12_345).fragment(2, false)), KEPT);
}
