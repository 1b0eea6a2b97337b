//! What is held up, so that no closed port can be told from another by how long its answer takes.

use knock_tests::core::CoreFilter;
use knock_tests::model::{Door, Port, PortRange, Protocol, Rules, Scanners};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, FIN, RST, SYN};
use std::net::{IpAddr, Ipv4Addr};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

const SSH: u16 = 22;
const DNS: u16 = 53;
const WEB: u16 = 80;
const PUBLIC: u16 = 443;
const KNOCK: u16 = 7000;
const UNLISTED: u16 = 12_345;
/// So many closed ports are a scan.
const SCAN: usize = 3;

const NOW_MS: u64 = 1_000;

fn core() -> CoreFilter {
    let sequence = [KNOCK, 8000, 9000].map(Port::tcp).to_vec();
    let public = PortRange { protocol: Protocol::Tcp, first: PUBLIC, last: PUBLIC };
    CoreFilter::new(&Rules {
        doors: vec![Door::new(sequence, vec![Port::tcp(SSH)])],
        public: vec![public],
        listeners: [Port::tcp(WEB), Port::udp(DNS)].into(),
        scanners: Some(Scanners { ports: SCAN, within_ms: 60_000, hold_ms: 60_000, include_public: false }),
        ..Rules::default()
    })
}

fn is_held_up(frame: &Frame) -> bool {
    core().is_held_up(NOW_MS, &frame.build())
}

fn syn(port: u16) -> Frame {
    Frame::tcp(STRANGER, HERE).ports(40_000, port)
}

fn datagram(port: u16) -> Frame {
    Frame::udp(STRANGER, HERE).ports(40_000, port)
}

#[test]
fn what_the_kernel_will_refuse_is_held_up_knock_or_not() {
    for frame in [syn(KNOCK), syn(UNLISTED), syn(DNS), datagram(KNOCK), datagram(UNLISTED), datagram(WEB)] {
        assert!(is_held_up(&frame), "{frame:?}");
    }
}

#[test]
fn what_is_answered_dropped_or_nothing_new_is_not_held_up() {
    for frame in [syn(WEB), datagram(DNS), syn(SSH), syn(PUBLIC)] {
        assert!(!is_held_up(&frame), "{frame:?}");
    }
    for flags in [ACK, SYN | ACK, FIN, RST] {
        assert!(!is_held_up(&syn(UNLISTED).flags(flags)), "{flags:#x}");
    }
}

#[test]
fn an_answer_to_this_machine_is_not_held_up() {
    let mut core = core();
    let answer = Frame::udp(STRANGER, HERE).ports(DNS, 50_000).build();
    assert!(core.is_held_up(NOW_MS, &answer));
    core.leaving(NOW_MS, &Frame::udp(HERE, STRANGER).ports(50_000, DNS).build());
    assert!(!core.is_held_up(NOW_MS, &answer));
    assert!(core.is_held_up(NOW_MS, &datagram(50_000).build()));
}

#[test]
fn a_scanner_is_dropped_at_once() {
    let mut core = core();
    let held_up = (0..=SCAN as u16).map(|port| core.is_held_up(NOW_MS, &syn(UNLISTED + port).build()));
    assert_eq!(held_up.collect::<Vec<_>>(), [true, true, true, false]);
}
