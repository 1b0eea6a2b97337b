//! Grants of a single port, such as an administrator gives, and not of a door.

use knock_tests::core::CoreFilter;
use knock_tests::model::{Port, PortRange, Protocol, Rules};
use knock_tests::packet::Frame;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

fn syn(from: IpAddr, port: u16) -> Frame {
    Frame::tcp(from, SERVER).ports(40_000, port)
}

fn datagram(from: IpAddr, port: u16) -> Frame {
    Frame::udp(from, SERVER).ports(40_000, port)
}

#[test]
fn it_opens_that_port_of_that_protocol_to_that_source() {
    let protected =
        [Protocol::Tcp, Protocol::Udp].map(|protocol| PortRange { protocol, first: 20, last: 60 });
    for (granted, let_in) in [(Port::tcp(22), syn(CLIENT, 22)), (Port::udp(53), datagram(CLIENT, 53))] {
        let mut core = CoreFilter::new(&Rules { protected: protected.to_vec(), ..Rules::default() });
        core.grant_port(CLIENT, granted);
        let mut reason = |frame: Frame| core.packet(1_000, &frame.build()).reason;
        assert_eq!(reason(let_in), "granted");
        for port in [21, 22, 23, 52, 53, 54] {
            for (protocol, frame) in [
                (Protocol::Tcp, syn as fn(IpAddr, u16) -> Frame),
                (Protocol::Udp, datagram as fn(IpAddr, u16) -> Frame),
            ] {
                let is_granted = granted == Port { protocol, number: port };
                assert_eq!(reason(frame(CLIENT, port)), if is_granted { "granted" } else { "no_grant" });
                assert_eq!(reason(frame(STRANGER, port)), "no_grant");
            }
        }
    }
}
