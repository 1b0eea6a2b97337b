//! The kernel program while another CPU holds a lock. Needs root.

use knock_common::flow::HALF_OPEN_LIFE;
use knock_tests::kernel::{KernelFilter, now};
use knock_tests::lab::privileged;
use knock_tests::model::{Door, Port, Rules};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::ACK;
use knock_tests::rule_set::rule_set;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const DOOR: usize = 0;

#[test]
fn a_connection_spends_its_token_with_its_first_packet_that_finds_the_count_free() {
    if !privileged() {
        return;
    }
    let (knock, ssh) = (Port::tcp(7000), Port::tcp(22));
    let door = Door { connections: 1, open_for_ms: Some(600_000), ..Door::new(vec![knock], vec![ssh]) };
    let rules = Rules { doors: vec![door], ..Rules::default() };
    let mut kernel = KernelFilter::new(&rule_set(&rules)).unwrap();
    kernel.begin(&rules);
    let syn = |source_port, port: Port| Frame::tcp(CLIENT, SERVER).ports(source_port, port.number);
    let judge = |kernel: &mut KernelFilter, frame: Frame| kernel.judge(&frame.build()).reason.name();
    // A token that is lent comes back in time, one that is spent does not.
    let comes_back = |kernel: &KernelFilter| {
        let later = now().milliseconds() + HALF_OPEN_LIFE;
        kernel.connections_left(CLIENT, DOOR, later) == Some(1)
    };
    assert_eq!(judge(&mut kernel, syn(40_000, knock)), "knock");

    kernel.hold_count(CLIENT, DOOR);
    assert_eq!(judge(&mut kernel, syn(40_001, ssh)), "no_grant", "a token can't be lent now");
    kernel.release_count(CLIENT, DOOR);
    assert_eq!(judge(&mut kernel, syn(40_001, ssh)), "granted");

    kernel.hold_count(CLIENT, DOOR);
    for _ in 0..3 {
        assert_eq!(judge(&mut kernel, syn(40_001, ssh).flags(ACK)), "flow");
        assert!(comes_back(&kernel), "another CPU is at the count");
    }
    kernel.release_count(CLIENT, DOOR);
    assert_eq!(judge(&mut kernel, syn(40_001, ssh).flags(ACK)), "flow");
    assert!(!comes_back(&kernel), "the token is spent");
    assert_eq!(judge(&mut kernel, syn(40_002, ssh)), "no_grant");
}
