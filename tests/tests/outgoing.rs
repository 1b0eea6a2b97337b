//! What this machine begins, where others have filled the set that it falls into.

use knock_common::flow::FLOW_WAYS;
use knock_tests::core::CoreFilter;
use knock_tests::model::{Policy, Rules};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, SYN};
use std::net::{IpAddr, Ipv4Addr};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));

/// A machine that lets nobody in, with a set full of connections that it has begun, and their clock.
struct Full {
    core: CoreFilter,
    now_ms: u64,
}

impl Full {
    fn new() -> Self {
        let mut full = Self {
            core: CoreFilter::of_one_set(&Rules { policy: Policy::Drop, ..Rules::default() }),
            now_ms: 1_000,
        };
        for port in 0..FLOW_WAYS as u16 {
            assert_eq!(full.connect(FRIEND, 40_000 + port), "flow");
        }
        full
    }

    /// Begins a connection; what became of the answer.
    fn connect(&mut self, to: IpAddr, port: u16) -> &'static str {
        self.now_ms += 1;
        let syn = Frame::tcp(HERE, to).ports(port, 443).sequence(u32::from(port));
        self.core.leaving(self.now_ms, &syn.build());
        self.arrives(&Frame::tcp(to, HERE).ports(443, port).flags(SYN | ACK))
    }

    /// Asks by datagram; what became of the answer.
    fn ask(&mut self, whom: IpAddr) -> &'static str {
        self.core.leaving(self.now_ms, &Frame::udp(HERE, whom).ports(50_000, 53).build());
        self.arrives(&Frame::udp(whom, HERE).ports(53, 50_000))
    }

    fn arrives(&mut self, frame: &Frame) -> &'static str {
        self.core.packet(self.now_ms, &frame.build()).reason
    }
}

#[test]
fn a_connection_begun_where_all_have_longer_to_live_is_answered() {
    let mut full = Full::new();
    for port in 1..=100 {
        assert_eq!(full.connect(STRANGER, port), "flow", "connection {port}");
    }
}

#[test]
fn a_question_asked_where_all_have_longer_to_live_is_answered_each_time() {
    let mut full = Full::new();
    for question in 1..=1_000 {
        assert_eq!(full.ask(STRANGER), "flow", "question {question}");
        full.now_ms += 500;
    }
}
