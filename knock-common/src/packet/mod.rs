//! From the bytes of a frame to a description of the packet, once; what is not IP or lies about itself ends here.

mod ethernet;
mod ipv4;
mod ipv6;
mod transport;

use self::ethernet::Network;
use crate::address::Address;
use crate::flags::TcpFlags;
use crate::frame::Frame;
use crate::port::Protocol;

/// Why a frame holds no packet to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPacket {
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// A header that lies or is cut short, a third VLAN tag, a fragment made to deceive.
    Malformed,
}

/// What a frame holds.
pub type Parsed = Result<Packet, NoPacket>;

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: Address,
    pub destination: Address,
    /// TTL or hop limit.
    pub hop_limit: u8,
    pub content: Content,
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Segment(Segment),
    /// A fragment other than the first: it carries no ports.
    LaterFragment,
    /// ICMP over IPv4 or ICMPv6 over IPv6.
    Icmp,
    /// Another protocol, by its number.
    Other(u8),
}

/// A TCP segment or UDP datagram, or the first fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub protocol: Protocol,
    pub source_port: u16,
    pub destination_port: u16,
    /// None set for UDP.
    pub flags: TcpFlags,
    /// 0 for UDP.
    pub sequence_number: u32,
    pub has_payload: bool,
    /// The first of several fragments.
    pub fragment: bool,
}

impl Segment {
    /// A TCP SYN without ACK.
    #[inline(always)]
    pub fn opens_connection(&self) -> bool {
        matches!(self.protocol, Protocol::Tcp) && self.flags.opens_connection()
    }
}

/// Where the payload of an IP packet lies in its frame.
#[derive(Clone, Copy)]
struct Payload {
    offset: usize,
    /// Bytes by the IP header's own account; padding behind it is not part of the packet.
    length: usize,
    /// The first of several fragments.
    fragment: bool,
}

/// Describes the packet that a frame holds.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F) -> Parsed {
    match ethernet::network_header(frame)? {
        Network::Ipv4(offset) => ipv4::parse(frame, offset),
        Network::Ipv6(offset) => ipv6::parse(frame, offset),
    }
}
