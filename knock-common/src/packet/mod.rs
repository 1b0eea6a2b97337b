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
    /// A header that lies or is cut short, a third VLAN tag, a fragment made to deceive. Where it says that it goes to, as far
    /// as that can be read; else [`Address::UNSPECIFIED`].
    Malformed(Address),
}

/// Why a frame holds no packet to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// As [`NoPacket::NotIp`].
    NotIp,
    /// As [`NoPacket::Malformed`], without a destination that can be read.
    CutShort,
    /// As [`NoPacket::Malformed`], with the destination in the place where the packet would be.
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
    icmp: Icmp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Segment,
    LaterFragment,
    Icmp,
    Other,
}

/// What an ICMP or ICMPv6 message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Icmp {
    /// An echo request.
    Echo,
    /// Another request for information about this machine.
    Query,
    /// An answer, an error, what neighbours say to each other.
    Other,
    /// Shorter than the header of any message.
    CutShort,
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    Segment(&'a Segment),
    /// A fragment other than the first: it carries no ports.
    LaterFragment,
    /// ICMP over IPv4 or ICMPv6 over IPv6.
    Icmp(Icmp),
    /// Another protocol, by its number.
    Other(u8),
}

impl Packet {
    /// What is to be looked at only where the content is a segment.
    #[inline(always)]
    pub const fn segment(&self) -> &Segment {
        &self.segment
    }

    #[inline(always)]
    pub const fn content(&self) -> Content<'_> {
        match self.kind {
            Kind::Segment => Content::Segment(&self.segment),
            Kind::LaterFragment => Content::LaterFragment,
            Kind::Icmp => Content::Icmp(self.icmp),
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
    /// `false` for UDP.
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
    let mut packet = Packet::NONE;
    match parse_into(frame, &mut packet) {
        Ok(()) => Ok(packet),
        Err(Unfit::NotIp) => Err(NoPacket::NotIp),
        Err(Unfit::CutShort) => Err(NoPacket::Malformed(Address::UNSPECIFIED)),
        Err(Unfit::Malformed) => Err(NoPacket::Malformed(packet.destination)),
    }
}

/// As [`parse`], into the place of another packet.
#[inline(always)]
pub fn parse_into<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) -> Result<(), Unfit> {
    match ethernet::network_header(frame)? {
        Network::Ipv4(offset) => ipv4::parse(frame, offset, packet),
        Network::Ipv6(offset) => ipv6::parse(frame, offset, packet),
    }
}

impl Packet {
    const NONE: Self = Self {
        source: Address::UNSPECIFIED,
        destination: Address::UNSPECIFIED,
        segment: Segment::NONE,
        hop_limit: 0,
        kind: Kind::Other,
        protocol: 0,
        icmp: Icmp::Other,
    };

    #[inline(always)]
    fn carry_segment(&mut self, segment: Segment) {
        self.kind = Kind::Segment;
        self.segment = segment;
        self.icmp = Icmp::Other;
    }

    #[inline(always)]
    fn carry_icmp(&mut self, about: Icmp) {
        self.kind = Kind::Icmp;
        self.segment = Segment::NONE;
        self.icmp = about;
    }

    /// Something that is told by `kind` alone.
    #[inline(always)]
    fn carry(&mut self, kind: Kind) {
        self.kind = kind;
        self.segment = Segment::NONE;
        self.icmp = Icmp::Other;
    }
}

/// Bytes of the shortest ICMP and ICMPv6 messages (RFC 792, RFC 4443).
const ICMP_HEADER: usize = 8;

/// What the message at the beginning of `payload` is about; `echo` and `queries` are numbers of types.
#[inline(always)]
fn icmp<F: Frame + ?Sized>(frame: &F, payload: Payload, echo: u8, queries: [u8; 3]) -> Icmp {
    if payload.length < ICMP_HEADER {
        return Icmp::CutShort;
    }
    let Some([first]) = frame.words(payload.offset) else {
        return Icmp::CutShort;
    };
    let [kind, ..] = first.to_be_bytes();
    let [a, b, c] = queries;
    if kind == echo {
        Icmp::Echo
    } else if kind == a || kind == b || kind == c {
        Icmp::Query
    } else {
        Icmp::Other
    }
}
