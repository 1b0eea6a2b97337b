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
///
/// Flat, with every field set whatever it holds: it crosses function calls and a map in the kernel, where bytes that a
/// variant of an enum leaves unset can't be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    pub source: Address,
    pub destination: Address,
    segment: Segment,
    /// TTL or hop limit.
    pub hop_limit: u8,
    kind: Kind,
    /// Number of the protocol above IP.
    protocol: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Segment,
    LaterFragment,
    Icmp,
    Other,
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    Segment(&'a Segment),
    /// A fragment other than the first: it carries no ports.
    LaterFragment,
    /// ICMP over IPv4 or ICMPv6 over IPv6.
    Icmp,
    /// Another protocol, by its number.
    Other(u8),
}

impl Packet {
    #[inline(always)]
    pub const fn content(&self) -> Content<'_> {
        match self.kind {
            Kind::Segment => Content::Segment(&self.segment),
            Kind::LaterFragment => Content::LaterFragment,
            Kind::Icmp => Content::Icmp,
            Kind::Other => Content::Other(self.protocol),
        }
    }
}

/// A TCP segment or UDP datagram, or the first fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// 0 for UDP.
    pub sequence_number: u32,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: Protocol,
    /// None set for UDP.
    pub flags: TcpFlags,
    pub has_payload: bool,
    /// The first of several fragments.
    pub fragment: bool,
}

impl Segment {
    const NONE: Self = Self {
        sequence_number: 0,
        source_port: 0,
        destination_port: 0,
        protocol: Protocol::Tcp,
        flags: TcpFlags::NONE,
        has_payload: false,
        fragment: false,
    };

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
