//! Sources that share a set of the table of attempts.

use knock_common::attempt::ATTEMPT_WAYS;
use knock_tests::core::CoreFilter;
use knock_tests::model::{Door, Port, Rules};
use knock_tests::packet::Frame;
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
