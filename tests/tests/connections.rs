//! Connections under a grant: the core and the reference model, side by side, where random streams seldom come.

use knock_tests::core::CoreFilter;
use knock_tests::model::{Door, FlowLives, FlowState, Model, Port, Rules};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, FIN, PSH, RST, SYN};
use knock_tests::state::State;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// Core and model, which must agree after every packet, and their clock.
struct Both {
    core: CoreFilter,
    model: Model,
    now_ms: u64,
}

impl Both {
    /// A client that is let in to 22/tcp for so many connections.
    fn let_in(connections: u32, lives: FlowLives) -> Self {
        let (knock, ssh) = (Port::tcp(7000), Port::tcp(22));
        let door = Door { connections, open_for_ms: Some(600_000), ..Door::new(vec![knock], vec![ssh]) };
        let rules = Rules { doors: vec![door], flow_lives: lives, ..Rules::default() };
        let mut both = Self { core: CoreFilter::new(&rules), model: Model::new(rules), now_ms: 1_000 };
        assert_eq!(both.send(&Frame::tcp(CLIENT, SERVER).ports(1, 7000)), "knock");
        both
    }

    #[track_caller]
    fn send(&mut self, frame: &Frame) -> &'static str {
        let frame = frame.build();
        let outcome = self.model.packet(self.now_ms, &frame);
        assert_eq!(self.core.packet(self.now_ms, &frame), outcome);
        assert_eq!(self.core.state(self.now_ms), State::of_model(&self.model, self.now_ms));
        outcome.reason
    }

    /// The server itself sends this.
    #[track_caller]
    fn leave(&mut self, frame: &Frame) {
        let frame = frame.build();
        self.model.leaving(self.now_ms, &frame);
        self.core.leaving(self.now_ms, &frame);
        assert_eq!(self.core.state(self.now_ms), State::of_model(&self.model, self.now_ms));
    }

    fn states(&self) -> Vec<FlowState> {
        self.core.state(self.now_ms).flows.iter().map(|(state, _)| *state).collect()
    }
}

fn syn(source_port: u16, sequence: u32) -> Frame {
    Frame::tcp(CLIENT, SERVER).ports(source_port, 22).sequence(sequence)
}

fn ack(source_port: u16) -> Frame {
    syn(source_port, 0).flags(ACK)
}

#[test]
fn a_second_connection_on_one_five_tuple_is_counted() {
    let mut both = Both::let_in(2, Rules::default().flow_lives);
    for sequence in [10, 20] {
        assert_eq!(both.send(&syn(40_000, sequence)), "granted");
        assert_eq!(both.send(&ack(40_000)), "flow");
    }
    both.now_ms += 60_000;
    assert_eq!(both.send(&syn(40_000, 30)), "no_grant");
    assert_eq!(both.send(&syn(40_001, 10)), "no_grant");
}

#[test]
fn another_syn_on_a_half_open_five_tuple_keeps_its_token_for_as_long_again() {
    let mut both = Both::let_in(1, Rules::default().flow_lives);
    assert_eq!(both.send(&syn(40_000, 10)), "granted");
    both.now_ms += 20_000;
    assert_eq!(both.send(&syn(40_000, 20)), "granted");
    both.now_ms += 20_000;
    assert_eq!(both.send(&syn(40_001, 10)), "no_grant");
    assert_eq!(both.send(&ack(40_000)), "flow");
    both.now_ms += 20_000;
    assert_eq!(both.send(&syn(40_001, 10)), "no_grant");
}

#[test]
fn a_token_that_was_given_back_is_not_spent() {
    let mut both = Both::let_in(2, Rules::default().flow_lives);
    both.send(&syn(40_000, 10));
    both.send(&ack(40_000));
    assert_eq!(both.send(&syn(40_000, 20)), "granted");
    both.now_ms += 30_000;
    assert_eq!(both.send(&syn(40_001, 10)), "granted");
    assert_eq!(both.send(&ack(40_000)), "flow");
    assert_eq!(both.send(&ack(40_001)), "flow");
    assert_eq!(both.send(&syn(40_002, 10)), "no_grant");
}

#[test]
fn a_short_life_is_renewed_too() {
    let lives = FlowLives { established_ms: 1_000, ..Rules::default().flow_lives };
    let mut both = Both::let_in(0, lives);
    both.send(&syn(40_000, 10));
    both.send(&ack(40_000));
    both.now_ms += 600_000;
    assert_eq!(both.send(&ack(40_000)), "no_grant");
    let mut both = Both::let_in(0, lives);
    both.send(&syn(40_000, 10));
    for _ in 0..1_500 {
        assert_eq!(both.send(&ack(40_000)), "flow");
        both.now_ms += 500;
    }
}

#[test]
fn the_first_fragment_of_a_connections_packet_is_part_of_it_when_its_grant_has_ended() {
    let mut both = Both::let_in(0, Rules::default().flow_lives);
    both.send(&syn(40_000, 10));
    both.send(&ack(40_000));
    both.now_ms += 600_000;
    let data = syn(40_000, 0).flags(PSH | ACK).payload(&[0; 16]);
    assert_eq!(both.send(&data.fragment(0, true)), "flow");
    assert_eq!(both.send(&syn(40_000, 10).fragment(0, true)), "no_grant");
}

#[test]
fn what_the_server_ends_was_a_connection_only_if_the_client_was_heard_again() {
    for flags in [RST | ACK, FIN | ACK] {
        let mut both = Both::let_in(0, Rules::default().flow_lives);
        let end = Frame::tcp(SERVER, CLIENT).ports(22, 40_000).flags(flags);
        both.send(&syn(40_000, 10));
        both.leave(&end);
        assert_eq!(both.states(), [FlowState::HalfOpen], "the SYN may have been forged");
        both.send(&ack(40_000));
        both.leave(&end);
        assert_eq!(both.states(), [FlowState::Closing]);
        both.now_ms += 120_000;
        assert_eq!(both.states(), []);
    }
}

#[test]
fn a_forged_syn_that_its_address_resets_is_no_connection_and_gives_its_token_back() {
    for flags in [RST, RST | ACK, FIN, PSH, SYN | ACK, 0] {
        let mut both = Both::let_in(1, Rules::default().flow_lives);
        assert_eq!(both.send(&syn(40_000, 10)), "granted");
        assert_eq!(both.send(&syn(40_000, 11).flags(flags)), "flow");
        assert_eq!(both.states(), [FlowState::HalfOpen], "{flags:#x}");
        both.now_ms += 30_000;
        assert_eq!(both.states(), []);
        assert_eq!(both.send(&syn(40_001, 10)), "granted");
        assert_eq!(both.send(&ack(40_001)), "flow");
        assert_eq!(both.send(&syn(40_002, 10)), "no_grant");
    }
}

#[test]
fn a_syn_of_a_connection_that_has_ended_needs_a_token_of_its_own() {
    let mut both = Both::let_in(2, Rules::default().flow_lives);
    assert_eq!(both.send(&syn(40_000, 10)), "granted");
    assert_eq!(both.send(&ack(40_000)), "flow");
    assert_eq!(both.send(&syn(40_000, 10)), "granted", "sent again, late");
    assert_eq!(both.send(&ack(40_000).flags(FIN | ACK)), "flow");
    assert_eq!(both.send(&syn(40_000, 10)), "granted");
    assert_eq!(both.send(&ack(40_000).payload(b"data")), "flow");
    assert_eq!(both.send(&syn(40_000, 20)), "no_grant");
}
