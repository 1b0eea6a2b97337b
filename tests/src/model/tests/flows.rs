//! Accepted TCP connections (4a.4, 4a.25).

use super::*;

/// A host with one accepted SYN, and that SYN.
fn connected(rules: Rules) -> (Host, Frame) {
    let mut host = Host::new(rules);
    host.complete(0);
    let syn = host.fresh(SSH);
    assert_quiet(&host.send(&syn), true, "granted");
    (host, syn)
}

#[test]
fn a_syn_under_a_grant_records_a_half_open_flow() {
    let (mut host, _) = connected(one_door());
    assert_eq!(host.flow_states(), [FlowState::HalfOpen]);
    host.wait(29_999);
    assert_eq!(host.flow_states(), [FlowState::HalfOpen]);
    host.wait(1);
    assert_eq!(host.flow_states(), []);
}

#[test]
fn the_clients_next_packet_establishes_it() {
    let (mut host, syn) = connected(one_door());
    assert_quiet(&host.send(&syn.flags(ACK)), true, "flow");
    assert_eq!(host.flow_states(), [FlowState::Established]);
    host.wait(432_000_000 - 1);
    assert_eq!(host.flow_states(), [FlowState::Established]);
    host.wait(1);
    assert_eq!(host.flow_states(), []);
}

#[test]
fn an_accepted_connection_lives_on_when_the_grant_ends() {
    let (mut host, syn) = connected(one_door());
    host.send(&syn.clone().flags(ACK));
    host.wait(100_000);
    assert_quiet(&host.send(&syn.clone().flags(PSH | ACK).payload(b"ls")), true, "flow");
    assert_quiet(&host.knock(SSH), false, "no_grant");
    let stray = host.fresh(SSH).flags(ACK);
    assert_quiet(&host.send(&stray), false, "no_grant");
}

#[test]
fn a_half_open_connection_may_finish_its_handshake_after_the_grants_end() {
    let (mut host, syn) = connected(with_doors(vec![Door { open_for_ms: Some(1_000), ..ssh() }]));
    host.wait(29_999);
    assert_quiet(&host.send(&syn.flags(ACK)), true, "flow");
}

#[test]
fn cut_ends_connections_with_their_grant() {
    let (mut host, syn) = connected(Rules { established: Established::Cut, ..one_door() });
    let data = syn.flags(ACK);
    assert_quiet(&host.send(&data), true, "granted");
    assert_eq!(host.flow_states(), [FlowState::Established]);
    host.wait(30_000);
    assert_quiet(&host.send(&data), false, "no_grant");
}

#[test]
fn no_new_connection_rides_on_an_old_flow() {
    let (mut host, syn) = connected(one_door());
    host.send(&syn.clone().flags(ACK));
    host.wait(30_000);
    assert_quiet(&host.send(&syn.clone().sequence(77)), false, "no_grant");
    assert_quiet(&host.send(&syn), false, "no_grant");
}

#[test]
fn after_fin_or_rst_a_flow_has_two_minutes_from_each_later_packet() {
    for flags in [FIN | ACK, RST] {
        let (mut host, syn) = connected(one_door());
        host.send(&syn.clone().flags(ACK));
        assert_quiet(&host.send(&syn.clone().flags(flags)), true, "flow");
        assert_eq!(host.flow_states(), [FlowState::Closing]);
        host.wait(119_999);
        assert_quiet(&host.send(&syn.clone().flags(ACK)), true, "flow");
        assert_eq!(host.flow_states(), [FlowState::Closing]);
        host.wait(120_000);
        assert_quiet(&host.send(&syn.flags(ACK)), false, "no_grant");
    }
}

#[test]
fn payload_gives_a_closing_flow_its_full_life_again() {
    let (mut host, syn) = connected(one_door());
    host.send(&syn.clone().flags(RST));
    host.send(&syn.clone().flags(ACK).payload(b"alive"));
    assert_eq!(host.flow_states(), [FlowState::Established]);
    host.wait(1_000_000);
    assert_quiet(&host.send(&syn.flags(ACK)), true, "flow");
}

#[test]
fn a_forged_syn_does_not_shorten_a_live_connection() {
    let (mut host, syn) = connected(one_door());
    host.send(&syn.clone().flags(ACK));
    assert_quiet(&host.send(&syn.clone().sequence(77)), true, "granted");
    host.wait(100_000);
    assert_quiet(&host.send(&syn.flags(ACK)), true, "flow");
}

#[test]
fn a_flow_is_one_five_tuple() {
    let (mut host, _) = connected(one_door());
    host.wait(29_999);
    let strays = [
        Frame::tcp(STRANGER, SERVER).ports(40_004, 22),
        Frame::tcp(CLIENT, OTHER_ADDRESS).ports(40_004, 22),
        Frame::tcp(CLIENT, SERVER).ports(40_005, 22),
        Frame::tcp(CLIENT, SERVER).ports(40_004, 22),
    ];
    host.model.revoke(host.now_ms, CLIENT, 0);
    let reasons = strays.map(|stray| host.send(&stray.flags(ACK)).reason);
    assert_eq!(reasons, ["no_grant", "no_grant", "no_grant", "flow"]);
}

#[test]
fn first_fragments_of_a_flow_pass_with_it() {
    let (mut host, syn) = connected(one_door());
    host.wait(29_000);
    assert_quiet(&host.send(&syn.flags(ACK).payload(&[0; 16]).fragment(0, true)), true, "flow");
    assert_eq!(host.flow_states(), [FlowState::Established]);
}

#[test]
fn a_trusted_syn_makes_no_flow() {
    let from = Network { address: CLIENT, prefix_length: 32 };
    let mut host = Host::new(Rules { trusted: vec![Trusted { from, to: None }], ..one_door() });
    assert_quiet(&host.knock(SSH), true, "trusted");
    assert_eq!(host.flow_states(), []);
}

#[test]
fn a_renewal_that_is_not_worth_it_is_left_out() {
    let lives = |established_ms| FlowLives { established_ms, ..Rules::default().flow_lives };
    for (established_ms, step_ms) in [(60_000, 1_024), (1_600, 100)] {
        let (mut host, syn) = connected(Rules { flow_lives: lives(established_ms), ..one_door() });
        let data = syn.flags(ACK);
        host.send(&data);
        host.wait(step_ms - 1);
        host.send(&data);
        host.wait(established_ms - step_ms);
        assert_eq!(host.flow_states(), [FlowState::Established]);
        host.send(&data);
        host.wait(step_ms);
        host.send(&data);
        host.wait(established_ms - 1);
        assert_eq!(host.flow_states(), [FlowState::Established]);
        host.wait(1);
        assert_eq!(host.flow_states(), []);
    }
}

#[test]
fn the_first_fragment_of_a_connections_packet_is_part_of_it() {
    let (mut host, syn) = connected(one_door());
    host.send(&syn.clone().flags(ACK));
    host.wait(30_000);
    let fragment = syn.flags(PSH | ACK).payload(&[0; 8]).fragment(0, true);
    assert_quiet(&host.send(&fragment), true, "flow");
}
