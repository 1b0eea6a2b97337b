//! Datagrams under a grant, and what this machine answers (4a.15).

use super::*;

const SERVICE: Port = Port::udp(60_000);
const HERE: (IpAddr, u16) = (SERVER, 60_000);
const THERE: (IpAddr, u16) = (CLIENT, 9);

fn one_service() -> Rules {
    with_doors(vec![Door::new(vec![FIRST, THIRD], vec![SERVICE])])
}

/// A host to which a datagram was granted.
fn asked(rules: Rules) -> Host {
    let mut host = Host::new(rules);
    host.complete(0);
    assert_quiet(&host.send(&datagram(THERE, HERE)), true, "granted");
    assert_eq!(host.flow_states(), [FlowState::HalfOpen]);
    host
}

#[test]
fn until_it_is_answered_the_grant_decides() {
    let mut host = asked(one_service());
    host.wait(29_999);
    assert_quiet(&host.send(&datagram(THERE, HERE)), true, "granted");
    assert_eq!(host.flow_states(), [FlowState::HalfOpen]);
    host.wait(1);
    assert_eq!(host.flow_states(), []);
    assert_quiet(&host.send(&datagram(THERE, HERE)), false, "no_grant");
}

#[test]
fn once_it_is_answered_it_is_a_flow_that_outlives_the_grant() {
    let mut host = asked(one_service());
    host.leave(&datagram(HERE, THERE));
    assert_eq!((host.flow_states(), host.outgoing_states()), (vec![FlowState::Established], vec![]));
    assert_quiet(&host.send(&datagram(THERE, HERE)), true, "flow");
    host.wait(100_000).leave(&datagram(HERE, THERE));
    host.wait(179_999);
    assert_quiet(&host.send(&datagram(THERE, HERE)), true, "flow");
    host.wait(1);
    assert_quiet(&host.send(&datagram(THERE, HERE)), false, "no_grant");
}

#[test]
fn what_arrives_does_not_renew_it() {
    let mut host = asked(one_service());
    host.leave(&datagram(HERE, THERE));
    for _ in 0..17 {
        host.wait(10_000);
        assert_quiet(&host.send(&datagram(THERE, HERE)), true, "flow");
    }
    host.wait(10_000);
    assert_quiet(&host.send(&datagram(THERE, HERE)), false, "no_grant");
}

#[test]
fn cut_ends_it_with_its_grant() {
    let mut host = asked(Rules { established: Established::Cut, ..one_service() });
    host.leave(&datagram(HERE, THERE));
    assert_quiet(&host.send(&datagram(THERE, HERE)), true, "granted");
    host.wait(30_000);
    assert_quiet(&host.send(&datagram(THERE, HERE)), false, "no_grant");
}

#[test]
fn an_answer_spends_the_token() {
    let door = Door { connections: 1, ..Door::new(vec![FIRST, THIRD], vec![SERVICE]) };
    let rules = with_doors(vec![Door { open_for_ms: Some(600_000), ..door }]);
    let (other, late) = ((CLIENT, 10), 30_000);
    let mut host = asked(rules.clone());
    host.wait(late);
    assert_quiet(&host.send(&datagram(other, HERE)), true, "granted");
    let mut host = asked(rules);
    host.leave(&datagram(HERE, THERE));
    host.wait(late);
    assert_quiet(&host.send(&datagram(other, HERE)), false, "no_grant");
}

#[test]
fn a_fragment_passes_by_the_grant_and_makes_no_flow() {
    let mut host = Host::new(one_service());
    host.complete(0);
    let first = datagram(THERE, HERE).payload(&[0; 8]).fragment(0, true);
    assert_quiet(&host.send(&first), true, "granted");
    assert_eq!(host.flow_states(), []);
}

#[test]
fn tcp_and_udp_of_the_same_ports_are_two_connections() {
    let opens = vec![SERVICE, Port::tcp(60_000)];
    let mut host = asked(with_doors(vec![Door::new(vec![FIRST, THIRD], opens)]));
    host.leave(&datagram(HERE, THERE));
    host.wait(30_000);
    assert_quiet(&host.send(&datagram(THERE, HERE)), true, "flow");
    assert_quiet(&host.send(&syn(THERE, HERE).flags(ACK)), false, "no_grant");
}

#[test]
fn an_attempt_is_not_reset_by_datagrams_that_are_asked_for() {
    let mut host = asked(one_service());
    host.leave(&datagram(HERE, THERE));
    host.model.revoke(host.now_ms, CLIENT, 0);
    host.knock(FIRST);
    assert_quiet(&host.send(&datagram(THERE, HERE)), true, "flow");
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn this_machines_fin_or_rst_leaves_an_accepted_connection_two_minutes() {
    for flags in [FIN | ACK, RST] {
        let mut host = Host::new(one_door());
        host.complete(0);
        host.send(&syn(THERE, (SERVER, 22)));
        host.leave(&syn((SERVER, 22), THERE).flags(flags));
        assert_eq!(host.flow_states(), [FlowState::HalfOpen], "the client has not been heard again");
        host.send(&syn(THERE, (SERVER, 22)).flags(ACK));
        host.leave(&syn((SERVER, 22), THERE).flags(flags));
        assert_eq!(host.flow_states(), [FlowState::Closing]);
        host.wait(120_000);
        assert_quiet(&host.send(&syn(THERE, (SERVER, 22)).flags(ACK)), false, "no_grant");
    }
}
