//! IPv6 and its extension headers (RFC 8200).

use super::ipv4::length_of_big;
use super::{Kind, Packet, Payload, Unfit, icmp, transport};
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
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, offset: usize, packet: &mut Packet) -> Result<(), Unfit> {
    let [first, second] = frame.words(offset).ok_or(Unfit::CutShort)?;
    let source = Address::from_v6_words(frame.words(offset + 8).ok_or(Unfit::CutShort)?);
    packet.source = source;
    packet.destination = Address::from_v6_words(frame.words(offset + 24).ok_or(Unfit::CutShort)?);
    let [length @ .., next_header, hop_limit] = second.to_be_bytes();
    packet.hop_limit = hop_limit;
    // A mapped address belongs to no packet (RFC 4291, 2.5.5.2), and would be taken for the IPv4 source of that name.
    if source.is_mapped() || first >> 28 != 6 {
        return Err(Unfit::Malformed);
    }
    let length = match u16::from_be_bytes(length) as usize {
        0 => length_of_big(frame, offset)? - HEADER,
        length => length,
    };
    if !frame.holds(offset + HEADER + length) {
        return Err(Unfit::Malformed);
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
            return Err(Unfit::Malformed);
        }
        walked += 1;
        step(frame, &mut walk)?;
        walk = Walk::from_bits(frame.unfollowed(walk.to_bits()));
    }
    packet.protocol = walk.next_header;
    match walk.next_header {
        _ if walk.later_fragment => packet.carry(Kind::LaterFragment),
        transport::TCP | transport::UDP => return transport::parse(frame, walk.payload, packet),
        ICMPV6 => packet.carry_icmp(icmp(frame, walk.payload, ECHO, QUERIES)),
        _ => packet.carry(Kind::Other),
    }
    Ok(())
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
fn step<F: Frame + ?Sized>(frame: &F, walk: &mut Walk) -> Result<(), Unfit> {
    let [first] = frame.words(walk.payload.offset).ok_or(Unfit::Malformed)?;
    let [next_header, length_byte, fragment @ ..] = first.to_be_bytes();
    let length = match walk.next_header {
        FRAGMENT => 8,
        AUTHENTICATION => (length_byte as usize + 2) * 4,
        _ => (length_byte as usize + 1) * 8,
    };
    if length > walk.payload.length {
        return Err(Unfit::Malformed);
    }
    if walk.next_header == FRAGMENT {
        let fragment = u16::from_be_bytes(fragment);
        match fragment >> 3 {
            0 => {}
            // Would overwrite the transport header of the first fragment, as in RFC 3128.
            1 => return Err(Unfit::Malformed),
            _ => walk.later_fragment = true,
        }
        walk.payload.fragment |= fragment & 1 != 0;
    }
    walk.next_header = next_header;
    walk.payload.offset += length;
    walk.payload.length -= length;
    Ok(())
}
