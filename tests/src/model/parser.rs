//! The model's own reading of a frame: slices and `?`, a missing byte means a malformed packet.

use super::rules::{Port, Protocol};
use crate::packet::numbers;
use std::net::IpAddr;

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    NotIp,
    /// Too broken to hold addresses.
    Malformed,
    Ip {
        source: IpAddr,
        destination: IpAddr,
        content: Content,
    },
}

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Malformed,
    LaterFragment,
    /// The type of ICMP in IPv4, of ICMPv6 in IPv6; `None` where there is less than the 8 bytes of the shortest message.
    Icmp(Option<u8>),
    /// By its number.
    OtherProtocol(u8),
    Segment(Segment),
}

/// A TCP or UDP packet, or a first fragment with its whole header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub port: Port,
    pub hop_limit: u8,
    /// More of the packet follows in other fragments.
    pub fragment: bool,
    /// 0 for UDP.
    pub flags: u8,
    /// 0 for UDP.
    pub sequence: u32,
    /// Bytes behind the transport header.
    pub payload_length: usize,
}

impl Segment {
    /// A TCP SYN without ACK.
    pub fn opens_connection(&self) -> bool {
        self.is_tcp() && self.flags & numbers::SYN != 0 && self.flags & numbers::ACK == 0
    }

    pub fn is_tcp(&self) -> bool {
        self.port.protocol == Protocol::Tcp
    }
}

/// Reads a frame from its destination MAC address on.
pub fn parse(frame: &[u8]) -> Parsed {
    let Some(mut rest) = frame.get(12..) else { return Parsed::Malformed };
    let mut tags = 0;
    loop {
        let Some(ether_type) = u16_at(rest, 0) else { return Parsed::Malformed };
        match ether_type {
            numbers::CTAG | numbers::STAG if tags < 2 && rest.len() >= 6 => {
                tags += 1;
                rest = &rest[4..];
            }
            numbers::CTAG | numbers::STAG => return Parsed::Malformed,
            numbers::IPV4 => return ip(&rest[2..], 20, 12, 4, ipv4),
            numbers::IPV6 => return ip(&rest[2..], 40, 8, 16, ipv6),
            _ => return Parsed::NotIp,
        }
    }
}

/// The two addresses of `width` bytes at `at`, in a header of at least `header` bytes.
fn ip(
    packet: &[u8],
    header: usize,
    at: usize,
    width: usize,
    content: fn(&Ip<'_>) -> Option<Content>,
) -> Parsed {
    if packet.len() < header {
        return Parsed::Malformed;
    }
    let source = address(&packet[at..at + width]);
    // One that is mapped is the IPv4 address that it holds, wherever a rule names that.
    let destination = address(&packet[at + width..at + 2 * width]).to_canonical();
    let content = content(&Ip { packet, source, destination }).unwrap_or(Content::Malformed);
    Parsed::Ip { source, destination, content }
}

struct Ip<'a> {
    packet: &'a [u8],
    source: IpAddr,
    destination: IpAddr,
}

fn ipv4(ip: &Ip<'_>) -> Option<Content> {
    let packet = ip.packet;
    let header_length = usize::from(packet[0] & 0x0f) * 4;
    let total_length = match usize::from(u16_at(packet, 2)?) {
        0 if packet.len() > 65_535 => packet.len(),
        length => length,
    };
    if packet[0] >> 4 != 4 || header_length < 20 || header_length > total_length {
        return None;
    }
    let payload = packet.get(header_length..total_length)?;
    let protocol = packet[9];
    let more = packet[6] & 0x20 != 0;
    let offset = u16_at(packet, 6)? & 0x1fff;
    match offset {
        0 => transport(ip, protocol, packet[8], more, payload),
        1 if protocol == numbers::TCP => None,
        _ => Some(Content::LaterFragment),
    }
}

fn ipv6(ip: &Ip<'_>) -> Option<Content> {
    let packet = ip.packet;
    let payload_length = match usize::from(u16_at(packet, 4)?) {
        0 if packet.len() > 65_535 => packet.len() - 40,
        0 => return None,
        length => length,
    };
    // A mapped address is never on the wire (RFC 4291, 2.5.5.2): it would name an IPv4 source.
    let mapped = packet[8..18] == [0; 10] && packet[18..20] == [0xff; 2];
    if packet[0] >> 4 != 6 || mapped {
        return None;
    }
    let mut payload = packet.get(40..40 + payload_length)?;
    let mut next = packet[6];
    let mut headers = 0;
    let mut fragment = false;
    loop {
        let length = match next {
            numbers::FRAGMENT => 8,
            numbers::AUTHENTICATION => (usize::from(*payload.get(1)?) + 2) * 4,
            numbers::HOP_BY_HOP
            | numbers::ROUTING
            | numbers::DESTINATION_OPTIONS
            | numbers::MOBILITY
            | numbers::HOST_IDENTITY
            | numbers::SHIM6 => (usize::from(*payload.get(1)?) + 1) * 8,
            numbers::ICMPV6 => return Some(Content::Icmp(icmp_type(payload))),
            // ICMP for IPv4 means nothing here.
            numbers::ICMP => return Some(Content::OtherProtocol(next)),
            protocol => return transport(ip, protocol, packet[7], fragment, payload),
        };
        headers += 1;
        if headers > 8 {
            return None;
        }
        let header = payload.get(..length)?;
        if next == numbers::FRAGMENT {
            let field = u16_at(header, 2)?;
            match field >> 3 {
                0 => fragment |= field & 1 != 0,
                1 => return None,
                _ => return Some(Content::LaterFragment),
            }
        }
        next = header[0];
        payload = &payload[length..];
    }
}

fn transport(ip: &Ip<'_>, protocol: u8, hop_limit: u8, fragment: bool, payload: &[u8]) -> Option<Content> {
    let segment = |protocol, flags, sequence, header_length: usize| {
        Some(Content::Segment(Segment {
            source: ip.source,
            destination: ip.destination,
            source_port: u16_at(payload, 0)?,
            port: Port { protocol, number: u16_at(payload, 2)? },
            hop_limit,
            fragment,
            flags,
            sequence,
            payload_length: payload.len().saturating_sub(header_length),
        }))
    };
    match protocol {
        numbers::TCP => {
            let header = payload.get(..20)?;
            let header_length = usize::from(header[12] >> 4) * 4;
            if header_length < 20 || (!fragment && header_length > payload.len()) {
                return None;
            }
            let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            segment(Protocol::Tcp, header[13], sequence, header_length)
        }
        numbers::UDP => {
            let length = usize::from(u16_at(payload.get(..8)?, 4)?);
            if length < 8 || (!fragment && length > payload.len()) {
                return None;
            }
            segment(Protocol::Udp, 0, 0, 8)
        }
        numbers::ICMP => Some(Content::Icmp(icmp_type(payload))),
        _ => Some(Content::OtherProtocol(protocol)),
    }
}

fn icmp_type(payload: &[u8]) -> Option<u8> {
    payload.get(..8).map(|header| header[0])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).expect("an address has 4 or 16 bytes")),
    }
}
