//! Connections that this machine begins.

use super::*;

const LOCAL: (IpAddr, u16) = (SERVER, 50_000);
const REMOTE: (IpAddr, u16) = (STRANGER, 443);

#[test]
fn a_connection_that_this_machine_begins_is_let_in() {
    let mut host = Host::new(closed());
    let answer = syn(REMOTE, LOCAL).flags(SYN | ACK);
    assert_quiet(&host.send(&answer), false, "policy_drop");
    host.leave(&syn(LOCAL, REMOTE));
    assert_eq!(host.outgoing_states(), [FlowState::HalfOpen]);
    assert_quiet(&host.send(&answer), true, "flow");
    assert_eq!(host.outgoing_states(), [FlowState::Established]);
    host.wait(432_000_000 - 1);
    assert_quiet(&host.send(&answer.clone().flags(ACK)), true, "flow");
    host.wait(432_000_000);
    assert_quiet(&host.send(&answer), false, "policy_drop");
}

#[test]
fn a_half_open_one_lives_from_the_last_syn() {
    let mut host = Host::new(closed());
    host.leave(&syn(LOCAL, REMOTE));
    host.wait(29_999).leave(&syn(LOCAL, REMOTE));
    host.wait(29_999);
    assert_eq!(host.outgoing_states(), [FlowState::HalfOpen]);
    host.wait(1);
    assert_eq!(host.outgoing_states(), []);
    assert_quiet(&host.send(&syn(REMOTE, LOCAL).flags(SYN | ACK)), false, "policy_drop");
}

#[test]
fn nothing_but_its_own_packets_rides_on_it() {
    let mut host = Host::new(closed());
    host.leave(&syn(LOCAL, REMOTE));
    for (from, to) in [
        ((CLIENT, 443), LOCAL),
        ((STRANGER, 444), LOCAL),
        (REMOTE, (SERVER, 50_001)),
        (REMOTE, (OTHER_ADDRESS, 50_000)),
    ] {
        assert_quiet(&host.send(&syn(from, to).flags(SYN | ACK)), false, "policy_drop");
    }
    assert_quiet(&host.send(&syn(REMOTE, LOCAL)), false, "policy_drop");
    assert_quiet(&host.send(&datagram(REMOTE, LOCAL)), false, "policy_drop");
    assert_eq!(host.outgoing_states(), [FlowState::HalfOpen]);
}

#[test]
fn either_sides_fin_or_rst_leaves_it_two_minutes() {
    for flags in [FIN | ACK, RST] {
        for here in [false, true] {
            let mut host = Host::new(closed());
            host.leave(&syn(LOCAL, REMOTE));
            host.send(&syn(REMOTE, LOCAL).flags(SYN | ACK));
            if here {
                host.leave(&syn(LOCAL, REMOTE).flags(flags));
            } else {
                host.send(&syn(REMOTE, LOCAL).flags(flags));
            }
            assert_eq!(host.outgoing_states(), [FlowState::Closing]);
            host.wait(119_999);
            assert_quiet(&host.send(&syn(REMOTE, LOCAL).flags(ACK)), true, "flow");
            host.wait(119_999);
            assert_quiet(&host.send(&syn(REMOTE, LOCAL).flags(ACK).payload(b"late")), true, "flow");
            assert_eq!(host.outgoing_states(), [FlowState::Established]);
        }
    }
}

#[test]
fn what_else_this_machine_sends_begins_nothing() {
    let mut host = Host::new(closed());
    for flags in [SYN | ACK, ACK, FIN | ACK, RST, PSH | ACK] {
        host.leave(&syn(LOCAL, REMOTE).flags(flags));
    }
    host.leave(&Frame::gre(SERVER, STRANGER));
    host.leave(&datagram(LOCAL, REMOTE).fragment(3, true));
    host.leave(&syn(LOCAL, REMOTE).data_offset(4));
    assert_eq!(host.outgoing_states(), []);
}

#[test]
fn a_datagram_to_an_address_lets_its_answers_in() {
    let mut host = Host::new(closed());
    host.leave(&datagram(LOCAL, REMOTE));
    for _ in 0..3 {
        assert_quiet(&host.send(&datagram(REMOTE, LOCAL)), true, "flow");
    }
    host.wait(179_999);
    assert_quiet(&host.send(&datagram(REMOTE, LOCAL)), true, "flow");
    host.wait(1);
    assert_quiet(&host.send(&datagram(REMOTE, LOCAL)), false, "policy_drop");
}

#[test]
fn only_what_this_machine_sends_renews_datagrams() {
    let mut host = Host::new(closed());
    host.leave(&datagram(LOCAL, REMOTE));
    host.wait(100_000).leave(&datagram(LOCAL, REMOTE));
    host.wait(179_999);
    assert_quiet(&host.send(&datagram(REMOTE, LOCAL)), true, "flow");
    host.wait(1);
    assert_quiet(&host.send(&datagram(REMOTE, LOCAL)), false, "policy_drop");
}

#[test]
fn the_first_fragment_of_what_leaves_stands_for_it() {
    let mut host = Host::new(closed());
    host.leave(&datagram(LOCAL, REMOTE).payload(&[0; 16]).fragment(0, true));
    assert_quiet(&host.send(&datagram(REMOTE, LOCAL)), true, "flow");
}

#[test]
fn a_public_service_begins_nothing_by_answering() {
    let public = vec![PortRange::from(Port::udp(443))];
    let mut host = Host::new(Rules { public, ..closed() });
    host.leave(&datagram((SERVER, 443), REMOTE));
    assert_eq!(host.outgoing_states(), []);
}

#[test]
fn an_answer_to_a_granted_source_begins_nothing() {
    let door = Door::new(vec![FIRST, THIRD], vec![Port::udp(5353)]);
    let mut host = Host::new(Rules { policy: Policy::Drop, ..with_doors(vec![door]) });
    host.complete(0);
    host.leave(&datagram((SERVER, 5353), (CLIENT, 9)));
    assert_eq!(host.outgoing_states(), []);
    host.leave(&datagram((SERVER, 5353), (STRANGER, 9)));
    host.leave(&datagram((SERVER, 5354), (CLIENT, 9)));
    assert_eq!(host.outgoing_states(), [FlowState::Established; 2]);
}

#[test]
fn an_answer_to_a_trusted_source_begins_nothing() {
    let from = Network { address: CLIENT, prefix_length: 32 };
    let trusted = vec![Trusted { from, to: Some(vec![PortRange::from(Port::udp(53))]) }];
    let mut host = Host::new(Rules { trusted, ..closed() });
    host.leave(&datagram((SERVER, 53), (CLIENT, 9)));
    assert_eq!(host.outgoing_states(), []);
    host.leave(&datagram((SERVER, 54), (CLIENT, 9)));
    assert_eq!(host.outgoing_states(), [FlowState::Established]);
}

#[test]
fn under_pass_an_open_service_begins_nothing_by_answering() {
    let service = Port::udp(53);
    let listeners = [service, SECOND, Port::udp(8080)].into();
    let protected = vec![PortRange::from(Port::udp(8080))];
    let mut host = Host::new(Rules { listeners, protected, ..one_door() });
    host.leave(&datagram((SERVER, service.number), REMOTE));
    assert_eq!(host.outgoing_states(), []);
    for (count, port) in (1..).zip([SECOND.number, 8080, 50_000]) {
        host.leave(&datagram((SERVER, port), REMOTE));
        assert_eq!(host.outgoing_states().len(), count);
    }
    let mut host = Host::new(Rules { listeners: [service].into(), ..closed() });
    host.leave(&datagram((SERVER, service.number), REMOTE));
    assert_eq!(host.outgoing_states().len(), 1);
}

#[test]
fn answers_on_knock_ports_and_protected_ports_pass_under_either_policy() {
    for policy in [Policy::Pass, Policy::Drop] {
        for port in [FIRST, SSH] {
            let mut host = Host::new(Rules { policy, ..one_door() });
            let local = (SERVER, port.number);
            host.leave(&syn(local, REMOTE));
            assert_quiet(&host.send(&syn(REMOTE, local).flags(SYN | ACK)), true, "flow");
        }
        let mut host = Host::new(Rules { policy, ..one_door() });
        host.leave(&datagram((SERVER, SECOND.number), REMOTE));
        assert_quiet(&host.send(&datagram(REMOTE, (SERVER, SECOND.number))), true, "flow");
        assert_eq!(host.model.attempt(host.now_ms, STRANGER), None);
    }
}

#[test]
fn cut_ends_no_connection_that_this_machine_began() {
    let mut host = Host::new(Rules { established: Established::Cut, ..closed() });
    host.leave(&syn(LOCAL, REMOTE));
    assert_quiet(&host.send(&syn(REMOTE, LOCAL).flags(SYN | ACK)), true, "flow");
}

#[test]
fn under_pass_answers_to_open_ports_count_as_unlisted_and_reset_nothing() {
    let local = (SERVER, 50_000);
    let mut host = Host::new(one_door());
    host.knock(FIRST);
    host.leave(&datagram(local, (CLIENT, 53)));
    assert_quiet(&host.send(&datagram((CLIENT, 53), local)), true, "unlisted");
    assert_eq!(host.alive(), [(0, 1)]);
    host.send(&datagram((CLIENT, 54), local));
    assert_eq!(host.alive(), []);
}

#[test]
fn with_destinations_only_what_comes_from_them_is_looked_at() {
    let mut host = Host::new(Rules { destinations: Some(vec![SERVER]), ..closed() });
    host.leave(&syn((OTHER_ADDRESS, 50_000), REMOTE));
    host.leave(&datagram((OTHER_ADDRESS, 50_000), REMOTE));
    assert_eq!(host.outgoing_states(), []);
    host.leave(&syn(LOCAL, REMOTE));
    assert_eq!(host.outgoing_states(), [FlowState::HalfOpen]);
}
