//! `policy = "drop"`: what passes all the same, and what the rest counts as.

use super::*;

fn reason(rules: Rules, frame: &Frame) -> &'static str {
    let outcome = Host::new(rules).send(frame);
    let passes = !matches!(outcome.reason, "policy_drop" | "no_grant");
    assert_eq!(outcome.pass, passes);
    outcome.reason
}

const V6: (&str, &str) = ("2001:db8::7", "2001:db8:1::1");

fn v6() -> (IpAddr, IpAddr) {
    (V6.0.parse().unwrap(), V6.1.parse().unwrap())
}

#[test]
fn ports_of_no_rule_are_closed_and_knocks_there_still_count() {
    let mut host = Host::new(closed());
    assert_quiet(&host.knock(Port::tcp(12_345)), false, "policy_drop");
    assert_quiet(&host.knock(Port::udp(12_345)), false, "policy_drop");
    assert_quiet(&host.knock(FIRST), false, "policy_drop");
    assert_eq!(host.alive(), [(0, 1)]);
    assert_quiet(&host.knock(SECOND), false, "policy_drop");
    let last = host.knock(THIRD);
    assert_eq!((last.pass, last.reason), (false, "policy_drop"));
    assert_told(&last, &[(EventKind::Open, 0)]);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn ports_that_were_named_count_as_such() {
    let rules = Rules { protected: vec![PortRange::from(Port::tcp(8080))], ..closed() };
    for (port, expected) in
        [(22, "no_grant"), (8080, "no_grant"), (8081, "policy_drop"), (7000, "policy_drop")]
    {
        for flags in [SYN, SYN | ACK, ACK, RST, 0] {
            assert_eq!(reason(rules.clone(), &syn((CLIENT, 1), (SERVER, port)).flags(flags)), expected);
        }
    }
    assert_eq!(reason(rules, &datagram((CLIENT, 1), (SERVER, 22))), "policy_drop");
}

#[test]
fn public_ports_are_open_and_disturb_no_attempt() {
    let public = vec![PortRange::from(Port::tcp(80))];
    let mut host = Host::new(Rules { public, ..closed() });
    host.knock(FIRST);
    assert_quiet(&host.knock(Port::tcp(80)), true, "public");
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn a_trusted_source_reaches_every_port_that_it_is_trusted_for() {
    let from = Network { address: CLIENT, prefix_length: 32 };
    let everywhere = Rules { trusted: vec![Trusted { from, to: None }], ..closed() };
    assert_eq!(reason(everywhere.clone(), &syn((CLIENT, 1), (SERVER, 12_345))), "trusted");
    assert_eq!(reason(everywhere, &Frame::gre(CLIENT, SERVER)), "policy_drop");
    let to = Some(vec![PortRange::from(Port::tcp(9100))]);
    let somewhere = Rules { trusted: vec![Trusted { from, to }], ..closed() };
    assert_eq!(reason(somewhere.clone(), &syn((CLIENT, 1), (SERVER, 9100))), "trusted");
    assert_eq!(reason(somewhere, &syn((CLIENT, 1), (SERVER, 22))), "no_grant");
}

#[test]
fn any_opens_every_closed_port() {
    let all = Door { opens: Opens::Any, ..Door::new(vec![FIRST, THIRD], vec![]) };
    let mut host = Host::new(Rules { policy: Policy::Drop, ..with_doors(vec![all]) });
    assert_quiet(&host.knock(Port::tcp(12_345)), false, "policy_drop");
    host.complete(0);
    assert_quiet(&host.knock(Port::tcp(12_345)), true, "granted");
    assert_quiet(&host.knock(Port::udp(12_345)), true, "granted");
    assert_quiet(&host.knock(FIRST), true, "granted");
}

#[test]
fn a_port_with_a_listener_resets_like_any_other() {
    let listeners = [Port::tcp(3306)].into();
    let mut host = Host::new(Rules { listeners, ..closed() });
    host.knock(FIRST);
    host.knock(Port::tcp(3306));
    assert_eq!(host.alive(), []);
}

#[test]
fn a_port_that_a_door_opens_does_not_reset() {
    let mut host = Host::new(closed());
    host.knock(FIRST);
    host.knock(SSH);
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn listed_protocols_pass_and_others_do_not() {
    let rules = Rules { protocols: vec![GRE, ESP], ..closed() };
    let (client, server) = v6();
    for (source, destination) in [(CLIENT, SERVER), (client, server)] {
        for (number, expected) in [
            (GRE, "other_protocol"),
            (ESP, "other_protocol"),
            (SCTP, "policy_drop"),
            (NO_NEXT_HEADER, "policy_drop"),
        ] {
            let frame = Frame::protocol(source, destination, number).payload(&[0; 8]);
            assert_eq!(reason(rules.clone(), &frame), expected, "{number}");
        }
    }
}

#[test]
fn igmp_passes_over_ipv4_where_it_is_spoken() {
    assert_eq!(reason(closed(), &Frame::igmp(CLIENT, SERVER)), "other_protocol");
    let (client, server) = v6();
    assert_eq!(reason(closed(), &Frame::igmp(client, server)), "policy_drop");
}

#[test]
fn each_familys_control_messages_pass_in_it_alone() {
    let (client, server) = v6();
    let message = |(from, to), number| Frame::protocol(from, to, number).payload(&[3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(reason(closed(), &message((CLIENT, SERVER), ICMP)), "icmp");
    assert_eq!(reason(closed(), &message((client, server), ICMPV6)), "icmp");
    assert_eq!(reason(closed(), &message((client, server), ICMP)), "policy_drop");
    assert_eq!(reason(closed(), &message((CLIENT, SERVER), ICMPV6)), "policy_drop");
}

#[test]
fn without_ping_what_asks_is_dropped_and_what_tells_is_not() {
    let (client, server) = v6();
    for (source, destination, number, asks) in
        [(CLIENT, SERVER, ICMP, &[8, 13, 15, 17][..]), (client, server, ICMPV6, &[128, 139])]
    {
        for kind in 0..=255u8 {
            let frame = Frame::protocol(source, destination, number).payload(&[kind, 0, 0, 0, 0, 0, 0, 0]);
            let expected = if asks.contains(&kind) { "policy_drop" } else { "icmp" };
            assert_eq!(reason(Rules { ping: false, ..closed() }, &frame), expected, "{kind}");
            assert_eq!(reason(closed(), &frame), "icmp");
            assert_eq!(reason(Rules { ping: false, ..one_door() }, &frame), "icmp");
        }
    }
}

#[test]
fn without_ping_what_does_not_say_its_type_is_dropped() {
    let nothing = Frame::protocol(CLIENT, SERVER, ICMP);
    let rules = Rules { ping: false, ..closed() };
    assert_eq!(reason(rules.clone(), &nothing), "policy_drop");
    assert_eq!(reason(rules.clone(), &nothing.clone().fragment(0, true)), "policy_drop");
    assert_eq!(reason(rules.clone(), &nothing.clone().padding(8)), "policy_drop");
    assert_eq!(reason(rules, &Frame::icmp(CLIENT, SERVER).fragment(0, true).cut_transport(0)), "policy_drop");
    assert_eq!(reason(closed(), &nothing), "icmp");
}

#[test]
fn answers_of_dhcp_servers_pass_and_disturb_no_attempt() {
    let answer = |from: &str, to: &str, ports: (u16, u16)| {
        datagram((from.parse().unwrap(), ports.0), (to.parse().unwrap(), ports.1))
    };
    for (from, to, ports, expected) in [
        ("192.0.2.1", "255.255.255.255", (67, 68), "public"),
        ("192.0.2.1", "198.51.100.1", (67, 68), "public"),
        ("192.0.2.1", "198.51.100.1", (68, 68), "policy_drop"),
        ("192.0.2.1", "198.51.100.1", (68, 67), "policy_drop"),
        ("192.0.2.1", "198.51.100.1", (547, 546), "policy_drop"),
        ("fe80::1", "fe80::2", (547, 546), "public"),
        ("febf::1", "fe80::2", (547, 546), "public"),
        ("fec0::1", "fe80::2", (547, 546), "policy_drop"),
        ("2001:db8::1", "fe80::2", (547, 546), "policy_drop"),
        ("fe80::1", "fe80::2", (546, 546), "policy_drop"),
        ("fe80::1", "fe80::2", (67, 68), "policy_drop"),
    ] {
        assert_eq!(reason(closed(), &answer(from, to, ports)), expected, "{from} {ports:?}");
    }
    assert_eq!(reason(one_door(), &answer("192.0.2.1", "198.51.100.1", (67, 68))), "unlisted");
    let mut host = Host::new(closed());
    host.knock(FIRST);
    host.send(&datagram((CLIENT, 67), (SERVER, 68)));
    assert_eq!(host.alive(), [(0, 1)]);
}
