//! What a grant lets pass, and how often.

use super::*;

fn limited(connections: u32) -> Rules {
    with_doors(vec![Door { connections, ..ssh() }])
}

#[test]
fn a_grant_opens_its_ports_to_its_source() {
    let door = Door::new(vec![FIRST, SECOND], vec![SSH, Port::udp(60_000)]);
    let other = Door::new(vec![SECOND, FIRST], vec![Port::tcp(25)]);
    let mut host = Host::new(with_doors(vec![door, other]));
    host.complete(0);
    assert_quiet(&host.knock(SSH), true, "granted");
    assert_quiet(&host.knock(Port::udp(60_000)), true, "granted");
    assert_quiet(&host.knock(Port::tcp(25)), false, "no_grant");
    let syn = Frame::tcp(STRANGER, SERVER).ports(1, 22);
    assert_quiet(&host.send(&syn), false, "no_grant");
}

#[test]
fn any_opens_all_protected_ports_and_protects_none() {
    let all = Door { opens: Opens::Any, ..Door::new(vec![FIRST, SECOND], vec![]) };
    let protected = vec![PortRange { protocol: Protocol::Tcp, first: 8000, last: 8100 }];
    let other = Door::new(vec![THIRD], vec![SSH]);
    let mut host = Host::new(Rules { protected, ..with_doors(vec![all, other]) });
    assert_quiet(&host.knock(Port::tcp(12_345)), true, "unlisted");
    assert_quiet(&host.knock(Port::tcp(8050)), false, "no_grant");
    host.complete(0);
    assert_quiet(&host.knock(Port::tcp(8050)), true, "granted");
    assert_quiet(&host.knock(SSH), true, "granted");
    assert_quiet(&host.knock(Port::tcp(12_345)), true, "unlisted");
}

#[test]
fn a_port_is_open_while_any_of_its_grants_is_valid() {
    let short = Door { open_for_ms: Some(1_000), ..Door::new(vec![SECOND, FIRST], vec![SSH]) };
    let mut host = Host::new(with_doors(vec![ssh(), short]));
    host.complete(1);
    host.complete(0);
    host.wait(1_000);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn one_connection_uses_a_grant_of_one_up() {
    let mut host = Host::new(limited(1));
    host.complete(0);
    assert_quiet(&host.knock(SSH), true, "granted");
    assert_eq!(host.connections_used(0), 1);
    assert_quiet(&host.knock(SSH), false, "no_grant");
    assert_eq!(host.connections_used(0), 1);
}

#[test]
fn a_repeated_syn_counts_once() {
    let mut host = Host::new(limited(1));
    host.complete(0);
    let syn = host.fresh(SSH);
    for _ in 0..3 {
        assert_quiet(&host.send(&syn), true, "granted");
    }
    assert_eq!(host.connections_used(0), 1);
}

#[test]
fn another_syn_on_a_half_open_five_tuple_keeps_its_token_for_as_long_again() {
    let mut host = Host::new(with_doors(vec![Door { connections: 1, open_for_ms: Some(120_000), ..ssh() }]));
    host.complete(0);
    let syn = host.fresh(SSH);
    host.send(&syn);
    host.wait(20_000);
    assert_quiet(&host.send(&syn.clone().sequence(77)), true, "granted");
    host.wait(20_000);
    assert_quiet(&host.knock(SSH), false, "no_grant");
    host.send(&syn.flags(ACK));
    host.wait(20_000);
    assert_quiet(&host.knock(SSH), false, "no_grant");
}

#[test]
fn a_new_connection_on_an_established_five_tuple_is_counted() {
    let mut host = Host::new(with_doors(vec![Door { connections: 2, open_for_ms: Some(120_000), ..ssh() }]));
    host.complete(0);
    let syn = host.fresh(SSH);
    host.send(&syn);
    host.send(&syn.clone().flags(ACK));
    host.send(&syn.clone().sequence(77));
    host.send(&syn.flags(ACK));
    host.wait(30_000);
    assert_eq!(host.connections_used(0), 2);
    assert_quiet(&host.knock(SSH), false, "no_grant");
}

#[test]
fn a_repeated_syn_needs_its_grant() {
    let mut host = Host::new(one_door());
    host.complete(0);
    let syn = host.fresh(SSH);
    host.send(&syn);
    host.send(&syn.clone().flags(ACK));
    host.wait(30_000);
    assert_quiet(&host.send(&syn), false, "no_grant");
}

#[test]
fn an_expired_half_open_flow_gives_its_connection_back() {
    let mut host = Host::new(with_doors(vec![Door { connections: 1, open_for_ms: Some(120_000), ..ssh() }]));
    host.complete(0);
    host.knock(SSH);
    host.wait(29_999);
    assert_quiet(&host.knock(SSH), false, "no_grant");
    host.wait(1);
    assert_eq!(host.connections_used(0), 0);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn an_established_flow_keeps_its_connection_even_when_it_has_ended() {
    let mut host =
        Host::new(with_doors(vec![Door { connections: 1, open_for_ms: Some(1_000_000), ..ssh() }]));
    host.complete(0);
    let syn = host.fresh(SSH);
    host.send(&syn);
    host.send(&syn.flags(FIN | ACK));
    host.wait(200_000);
    assert_eq!(host.flow_states(), []);
    assert_eq!(host.connections_used(0), 1);
    assert_quiet(&host.knock(SSH), false, "no_grant");
}

#[test]
fn a_refresh_starts_the_count_again() {
    let mut host = Host::new(limited(1));
    host.complete(0);
    host.knock(SSH);
    assert_quiet(&host.knock(SSH), false, "no_grant");
    host.complete(0);
    assert_eq!(host.connections_used(0), 0);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn a_grant_used_up_still_passes_what_opens_no_connection() {
    let mut host = Host::new(limited(1));
    host.complete(0);
    host.knock(SSH);
    let stray = host.fresh(SSH).flags(ACK);
    assert_quiet(&host.send(&stray), true, "granted");
    assert_eq!(host.flow_states(), [FlowState::HalfOpen]);
}

#[test]
fn of_limited_grants_the_first_alone_is_asked() {
    let one = |sequence| Door { connections: 1, ..Door::new(sequence, vec![SSH]) };
    let mut host = Host::new(with_doors(vec![one(vec![FIRST, SECOND]), one(vec![SECOND, FIRST])]));
    host.complete(1);
    host.complete(0);
    host.knock(SSH);
    assert_eq!((host.connections_used(0), host.connections_used(1)), (0, 1));
    assert_quiet(&host.knock(SSH), false, "no_grant");
}

#[test]
fn a_grant_without_limit_is_asked_before_those_that_count() {
    let one = Door { connections: 1, ..Door::new(vec![FIRST, SECOND], vec![SSH]) };
    let mut host = Host::new(with_doors(vec![one, Door::new(vec![SECOND, FIRST], vec![SSH])]));
    host.complete(0);
    host.complete(1);
    assert_quiet(&host.knock(SSH), true, "granted");
    assert_quiet(&host.knock(SSH), true, "granted");
    assert_eq!(host.connections_used(0), 0);
}

#[test]
fn datagrams_are_counted_by_their_five_tuple() {
    let door = Door { connections: 1, ..Door::new(vec![FIRST, SECOND], vec![Port::udp(60_000)]) };
    let mut host = Host::new(with_doors(vec![door]));
    host.complete(0);
    let datagram = host.fresh(Port::udp(60_000));
    for _ in 0..3 {
        assert_quiet(&host.send(&datagram), true, "granted");
    }
    assert_quiet(&host.knock(Port::udp(60_000)), false, "no_grant");
    assert_eq!((host.connections_used(0), host.flow_states().len()), (1, 1));
    host.wait(29_999);
    assert_quiet(&host.knock(Port::udp(60_000)), false, "no_grant");
}

#[test]
fn a_fragmented_syn_passes_only_where_nothing_is_counted() {
    for (connections, expected) in [(0, (true, "granted")), (1, (false, "no_grant"))] {
        let mut host = Host::new(limited(connections));
        host.complete(0);
        let syn = host.fresh(SSH).fragment(0, true);
        assert_quiet(&host.send(&syn), expected.0, expected.1);
        assert_eq!(host.flow_states(), []);
    }
}

#[test]
fn revoking_acts_as_if_the_deadline_were_now() {
    let mut host = Host::new(one_door());
    host.complete(0);
    assert!(host.model.revoke(host.now_ms, CLIENT, 0));
    assert!(!host.model.revoke(host.now_ms, CLIENT, 0));
    assert_quiet(&host.knock(SSH), false, "no_grant");
    host.wait(1_000);
    assert_told(&host.complete(0), &[(EventKind::Open, 0)]);
}
