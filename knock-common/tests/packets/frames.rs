//! Frames byte for byte, and what is read from them.
//!
//! The builder that other tests have depends on this crate, and on much that takes long to build.

use std::net::Ipv6Addr;

use knock_common::address::Address;
use knock_common::packet::{Parsed, parse};

pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;
pub const ARP: u16 = 0x0806;
pub const VLAN: u16 = 0x8100;
pub const SERVICE_VLAN: u16 = 0x88a8;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const NO_NEXT_HEADER: u8 = 59;
pub const SCTP: u8 = 132;

pub const HOP_BY_HOP: u8 = 0;
pub const FRAGMENT: u8 = 44;
pub const AUTHENTICATION: u8 = 51;
pub const DESTINATION_OPTIONS: u8 = 60;

pub const MORE_FRAGMENTS: u16 = 0x2000;
pub const DO_NOT_FRAGMENT: u16 = 0x4000;

/// What the length field of IPv4 and of IPv6 can say.
pub const LENGTH_MAX: usize = 65_535;

pub fn source_v4() -> Address {
    Address::from_v4([192, 0, 2, 7])
}

pub fn destination_v4() -> Address {
    Address::from_v4([198, 51, 100, 1])
}

pub fn source_v6() -> Address {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6).into()
}

pub fn destination_v6() -> Address {
    Ipv6Addr::new(0x2001, 0xdb8, 10, 11, 12, 13, 14, 15).into()
}

pub fn ethernet(ethertypes: &[u16], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02; 12];
    for (index, ethertype) in ethertypes.iter().enumerate() {
        if index > 0 {
            // The tag that the ethertype before it has announced.
            frame.extend([0x00, 0x2a]);
        }
        frame.extend(ethertype.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// An IPv4 header (RFC 791) and its payload.
pub struct Ipv4 {
    pub version: u8,
    /// Words of 32 bits.
    pub header_length: u8,
    /// `None`: as it is.
    pub length: Option<u16>,
    pub fragment: u16,
    pub protocol: u8,
}

pub const PLAIN: Ipv4 = Ipv4 { version: 4, header_length: 5, length: None, fragment: 0, protocol: TCP };

impl Ipv4 {
    pub fn with(&self, payload: &[u8]) -> Vec<u8> {
        let options = (usize::from(self.header_length) * 4).saturating_sub(20);
        let length = self.length.unwrap_or((20 + options + payload.len()) as u16);
        let mut packet = vec![self.version << 4 | self.header_length, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0xab, 0xcd]);
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([57, self.protocol, 0xff, 0xff]);
        packet.extend([192, 0, 2, 7, 198, 51, 100, 1]);
        packet.extend(vec![1; options]);
        packet.extend(payload);
        packet
    }

    pub fn parsed(&self, payload: &[u8]) -> Parsed {
        parse(ethernet(&[IPV4], &self.with(payload)).as_slice())
    }
}

/// An IPv6 header (RFC 8200) and what follows it.
pub fn ipv6(version: u8, source: Address, length: usize, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![version << 4 | 0x0f, 0xff, 0xff, 0xff];
    packet.extend((length as u16).to_be_bytes());
    packet.extend([next_header, 63]);
    packet.extend(source.octets());
    packet.extend(destination_v6().octets());
    packet.extend(payload);
    packet
}

pub fn parsed_v6(next_header: u8, payload: &[u8]) -> Parsed {
    parse(ethernet(&[IPV6], &ipv6(6, source_v6(), payload.len(), next_header, payload)).as_slice())
}

/// A TCP header (RFC 9293) of 5 words and what follows it; `data_offset` is what it says of its length, in words.
pub fn tcp(data_offset: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0x1b, 0x59, 1, 2, 3, 4, 0, 0, 0, 0];
    segment.extend([data_offset << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

/// A UDP header (RFC 768) that says `length`, and what follows it.
pub fn udp(length: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40, 0x1b, 0x59];
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

pub fn syn() -> Vec<u8> {
    tcp(5, 0x02, &[])
}

/// An extension header of which `length` is the length byte, and what follows it.
pub fn extension(next_header: u8, length: u8, bytes: usize, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![next_header, length];
    header.resize(bytes, 0);
    header.extend(payload);
    header
}

/// A fragment header; `offset_and_flags` is its second half-word.
pub fn fragment(next_header: u8, offset_and_flags: u16, payload: &[u8]) -> Vec<u8> {
    // The second byte is reserved, and says nothing of a length.
    let mut header = vec![next_header, 7];
    header.extend(offset_and_flags.to_be_bytes());
    header.extend([0, 0, 0, 9]);
    header.extend(payload);
    header
}
