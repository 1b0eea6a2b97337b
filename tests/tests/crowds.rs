//! Sources that share a set of the table of attempts, and connections that share one of theirs.

use knock_common::attempt::ATTEMPT_WAYS;
use knock_common::flow::FLOW_WAYS;
use knock_tests::core::CoreFilter;
use knock_tests::model::{Door, Port, Rules};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::ACK;
use std::net::{IpAddr, Ipv4Addr};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

#[test]
fn as_many_as_there_is_room_for_knock_at_the_same_time() {
    let sequence = [7000, 8000, 9000];
    let door = Door::new(sequence.map(Port::tcp).to_vec(), vec![Port::tcp(22)]);
    let core = CoreFilter::of_one_set(&Rules { doors: vec![door], ..Rules::default() });
    for (step, port) in sequence.into_iter().enumerate() {
        for source in 0..ATTEMPT_WAYS as u8 / 2 {
            let source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, source));
            let frame = Frame::tcp(source, SERVER).ports(40_000, port).sequence(step as u32).build();
            let now_ms = 1_000 + step as u64;
            assert_eq!(core.completes(now_ms, &frame), step == 2, "step {step} of {source}");
        }
    }
}

#[test]
fn a_connection_that_finds_no_room_is_let_in_where_it_need_not_be_counted() {
    for (connections, reason) in [(0, "granted"), (FLOW_WAYS as u32 + 1, "no_grant")] {
        let opens = vec![Port::tcp(22)];
        let door = Door { connections, ..Door::new([7000, 8000, 9000].map(Port::tcp).to_vec(), opens) };
        let mut core = CoreFilter::of_one_set(&Rules { doors: vec![door], ..Rules::default() });
        let mut reason_of = |frame: Frame| core.packet(1_000, &frame.build()).reason;
        let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        let syn = |from, to| Frame::tcp(client, SERVER).ports(from, to).sequence(from.into());
        for port in [7000, 8000, 9000] {
            assert_eq!(reason_of(syn(1, port)), "knock");
        }
        for from in 0..FLOW_WAYS as u16 {
            assert_eq!(reason_of(syn(40_000 + from, 22)), "granted");
            assert_eq!(reason_of(syn(40_000 + from, 22).flags(ACK)), "flow");
        }
        assert_eq!(reason_of(syn(50_000, 22)), reason, "{connections} connections");
    }
}
