//! IPv6 and its extension headers (RFC 8200).

use super::ipv4::length_of_big;
use super::{Body, Icmp, Kind, Malformed, NoPacket, Parsed, Payload, Segment, icmp, transport};
use crate::address::Address;
use crate::frame::Frame;

const HEADER: usize = 40;
const EXTENSION_HEADERS_MAX: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const ECHO: u8 = 128;
/// Node information (RFC 4620).
const QUERIES: [u8; 3] = [139; 3];
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// Where the walk over extension headers has come to.
struct Walk {
    next_header: u8,
    payload: Payload,
    later_fragment: bool,
}

impl Walk {
    #[inline(always)]
    fn to_bits(&self) -> u64 {
        self.payload.offset as u64 & 0xffff
            | (self.payload.length as u64 & 0xff_ffff) << 16
            | (self.next_header as u64) << 40
            | (self.payload.fragment as u64) << 48
            | (self.later_fragment as u64) << 49
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self {
            next_header: (bits >> 40) as u8,
            payload: Payload {
                offset: (bits & 0xffff) as usize,
                length: (bits >> 16 & 0xff_ffff) as usize,
                fragment: bits >> 48 & 1 != 0,
            },
            later_fragment: bits >> 49 & 1 != 0,
        }
    }
}

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, offset: usize) -> Parsed {
    const MALFORMED: NoPacket = NoPacket::Malformed(Address::UNSPECIFIED);

    let header = frame.words(offset).ok_or(MALFORMED)?;
    let source = Address::from_v6_words(frame.words(offset + 8).ok_or(MALFORMED)?);
    let destination = Address::from_v6_words(frame.words(offset + 24).ok_or(MALFORMED)?);
    // A mapped address belongs to no packet (RFC 4291, 2.5.5.2), and would be taken for the IPv4 source of that name.
    if source.is_mapped() {
        return Err(NoPacket::Malformed(destination));
    }
    Body::between(body(frame, offset, header), source, destination)
}

#[inline(always)]
fn body<F: Frame + ?Sized>(frame: &F, offset: usize, header: [u16; 4]) -> Result<Body, Malformed> {
    let [first, _, length, header_and_limit] = header;
    let [next_header, hop_limit] = header_and_limit.to_be_bytes();
    if first >> 12 != 6 {
        return Err(Malformed);
    }
    let length = match length as usize {
        0 => length_of_big(frame, offset)? - HEADER,
        length => length,
    };
    if !frame.holds(offset + HEADER + length) {
        return Err(Malformed);
    }
    let mut walk = Walk {
        next_header,
        payload: Payload { offset: offset + HEADER, length, fragment: false },
        later_fragment: false,
    };
    // One turn more than there may be headers: the last one only finds that the walk is over.
    let mut walked = 0;
    while is_extension(walk.next_header) && !walk.later_fragment {
        if walked == EXTENSION_HEADERS_MAX {
            return Err(Malformed);
        }
        walked += 1;
        step(frame, &mut walk)?;
        walk = Walk::from_bits(frame.unfollowed(walk.to_bits()));
    }
    let mut segment = Segment::NONE;
    let mut about = Icmp::Other;
    let kind = match walk.next_header {
        _ if walk.later_fragment => Kind::LaterFragment,
        transport::TCP | transport::UDP => {
            segment = transport::parse(frame, walk.next_header, walk.payload)?;
            Kind::Segment
        }
        ICMPV6 => {
            about = icmp(frame, walk.payload, ECHO, QUERIES);
            Kind::Icmp
        }
        _ => Kind::Other,
    };
    Ok(Body { segment, kind, protocol: walk.next_header, hop_limit, icmp: about })
}

#[inline(always)]
fn is_extension(header: u8) -> bool {
    matches!(
        header,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HOST_IDENTITY | SHIM6
    )
}

/// Steps over one extension header.
#[inline(always)]
fn step<F: Frame + ?Sized>(frame: &F, walk: &mut Walk) -> Result<(), Malformed> {
    let [first, second] = frame.words(walk.payload.offset).ok_or(Malformed)?;
    let [next_header, length_byte] = first.to_be_bytes();
    let length = match walk.next_header {
        FRAGMENT => 8,
        AUTHENTICATION => (length_byte as usize + 2) * 4,
        _ => (length_byte as usize + 1) * 8,
    };
    if length > walk.payload.length {
        return Err(Malformed);
    }
    if walk.next_header == FRAGMENT {
        match second >> 3 {
            0 => {}
            // Would overwrite the transport header of the first fragment, as in RFC 3128.
            1 => return Err(Malformed),
            _ => walk.later_fragment = true,
        }
        walk.payload.fragment |= second & 1 != 0;
    }
    walk.next_header = next_header;
    walk.payload.offset += length;
    walk.payload.length -= length;
    Ok(())
}
