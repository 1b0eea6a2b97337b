//! Who sends what.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use knock_tests::packet::Frame;

pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
pub const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
pub const STRANGER_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));
pub const SERVER_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));

pub const SEQUENCE: [u16; 3] = [7000, 8000, 9000];
pub const SSH: u16 = 22;
pub const PUBLIC: u16 = 80;
pub const UNLISTED: u16 = 60_001;
/// From where this machine has asked somebody.
pub const ASKING: u16 = 40_053;

pub fn syn(source: IpAddr, port: u16) -> Frame {
    let server = if source.is_ipv4() { SERVER } else { SERVER_6 };
    Frame::tcp(source, server).ports(40_000, port).sequence(1)
}
