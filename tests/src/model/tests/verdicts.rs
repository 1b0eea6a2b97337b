//! The order of the rules, where one packet could meet several.

use super::*;

#[test]
fn with_enforce_off_what_would_be_dropped_passes_and_every_rule_runs() {
    let door = Door::new(vec![SSH, SECOND], vec![SSH]);
    let mut host = Host::new(Rules { enforce: false, ..with_doors(vec![door]) });
    assert_quiet(&host.knock(SSH), true, "would_drop");
    assert_eq!(host.alive(), [(0, 1)]);
    assert_quiet(&host.send(&Frame::tcp(CLIENT, SERVER).version(5)), true, "would_drop");
    assert_told(&host.knock(SECOND), &[(EventKind::Open, 0)]);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn packets_to_other_destinations_are_not_filtered() {
    let mut host = Host::new(Rules { destinations: Some(vec![SERVER]), ..one_door() });
    let syn = Frame::tcp(CLIENT, OTHER_ADDRESS).ports(1, 22);
    assert_quiet(&host.send(&syn), true, "not_ours");
    assert_quiet(&host.send(&syn.data_offset(4)), true, "not_ours");
    assert_quiet(&host.send(&Frame::tcp(CLIENT, OTHER_ADDRESS).truncate(33)), false, "malformed");
    host.send(&Frame::tcp(CLIENT, OTHER_ADDRESS).ports(1, FIRST.number));
    assert_eq!(host.alive(), []);
    assert_quiet(&host.knock(SSH), false, "no_grant");
}

#[test]
fn a_public_port_is_public_to_a_source_with_everything() {
    let from = Network { address: CLIENT, prefix_length: 0 };
    let public = vec![PortRange::from(Port::tcp(80))];
    let protected = vec![PortRange { protocol: Protocol::Tcp, first: 1, last: 100 }];
    let trusted = vec![Trusted { from, to: None }];
    let mut host = Host::new(Rules { public, protected, trusted, ..one_door() });
    assert_quiet(&host.knock(Port::tcp(80)), true, "public");
    assert_quiet(&host.knock(Port::tcp(81)), true, "trusted");
}

#[test]
fn trust_comes_before_a_grant_and_a_flow_before_trust() {
    let mut host = Host::new(one_door());
    host.complete(0);
    let syn = host.fresh(SSH);
    host.send(&syn);
    let from = Network { address: CLIENT, prefix_length: 32 };
    let trusted = vec![Trusted { from, to: Some(vec![PortRange::from(SSH)]) }];
    host.model.rules = Rules { trusted, ..one_door() };
    assert_quiet(&host.send(&syn.flags(ACK)), true, "flow");
    assert_quiet(&host.knock(SSH), true, "trusted");
}

#[test]
fn trust_and_grants_are_asked_for_protected_ports_alone() {
    let from = Network { address: CLIENT, prefix_length: 32 };
    let mut host = Host::new(Rules { trusted: vec![Trusted { from, to: None }], ..one_door() });
    assert_quiet(&host.knock(Port::tcp(12_345)), true, "unlisted");
    assert_quiet(&host.knock(FIRST), true, "knock");
    assert_quiet(&host.knock(SSH), true, "trusted");
}

#[test]
fn trust_may_end_at_a_prefix_and_at_ports() {
    let from = Network { address: "192.0.2.0".parse().unwrap(), prefix_length: 25 };
    let trusted = vec![Trusted { from, to: Some(vec![PortRange::from(Port::tcp(9100))]) }];
    let protected = vec![PortRange::from(Port::tcp(9100))];
    let mut host = Host::new(Rules { trusted, protected, ..one_door() });
    let mut reason =
        |source: &str, port| host.send(&Frame::tcp(source.parse().unwrap(), SERVER).ports(1, port)).reason;
    assert_eq!(reason("192.0.2.127", 9100), "trusted");
    assert_eq!(reason("192.0.2.128", 9100), "no_grant");
    assert_eq!(reason("192.0.2.127", 22), "no_grant");
}

#[test]
fn a_knock_on_a_protected_port_counts_by_what_becomes_of_it() {
    let protected = vec![PortRange::from(FIRST)];
    let mut host = Host::new(Rules { protected, ..one_door() });
    assert_quiet(&host.knock(FIRST), false, "no_grant");
    assert_eq!(host.alive(), [(0, 1)]);
}
