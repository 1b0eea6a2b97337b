//! IPv4 (RFC 791).

use super::{Body, Icmp, Kind, Malformed, NoPacket, Parsed, Payload, Segment, icmp, transport};
use crate::address::Address;
use crate::frame::Frame;

const HEADER: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;
const ICMP: u8 = 1;
const ECHO: u8 = 8;
/// Requests for time, information and the address mask (RFC 792, RFC 950).
const QUERIES: [u8; 3] = [13, 15, 17];

/// The largest length that the 16-bit field can say; a larger frame is a BIG TCP one and says 0.
const LENGTH_MAX: usize = 65_535;

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, offset: usize) -> Parsed {
    let header: [u16; HEADER / 2] = frame.words(offset).ok_or(NoPacket::Malformed(Address::UNSPECIFIED))?;
    let [.., s0, s1, d0, d1] = header;
    let (source, destination) = (Address::from_v4_words([s0, s1]), Address::from_v4_words([d0, d1]));
    Body::between(body(frame, offset, header), source, destination)
}

/// Bytes from the IP header at `offset` on, of a frame that is too large for the header to say how many.
#[inline(always)]
pub(super) fn length_of_big<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<usize, Malformed> {
    match frame.length().saturating_sub(offset) {
        length if length > LENGTH_MAX => Ok(length),
        _ => Err(Malformed),
    }
}

#[inline(always)]
fn body<F: Frame + ?Sized>(frame: &F, offset: usize, header: [u16; HEADER / 2]) -> Result<Body, Malformed> {
    let [first, length, _, fragment, life_and_protocol, ..] = header;
    let [version_and_length, _] = first.to_be_bytes();
    let [hop_limit, protocol] = life_and_protocol.to_be_bytes();
    let header_length = ((version_and_length & 0x0f) as usize) * 4;
    if version_and_length >> 4 != 4 || header_length < HEADER {
        return Err(Malformed);
    }
    let length = match length as usize {
        0 => length_of_big(frame, offset)?,
        length => length,
    };
    if length < header_length || !frame.holds(offset + length) {
        return Err(Malformed);
    }
    let fragment_offset = fragment & OFFSET_MASK;
    let payload = Payload {
        offset: offset + header_length,
        length: length - header_length,
        fragment: fragment & MORE_FRAGMENTS != 0,
    };
    let mut segment = Segment::NONE;
    let mut about = Icmp::Other;
    let kind = if fragment_offset == 0 {
        match protocol {
            transport::TCP | transport::UDP => {
                segment = transport::parse(frame, protocol, payload)?;
                Kind::Segment
            }
            ICMP => {
                about = icmp(frame, payload, ECHO, QUERIES);
                Kind::Icmp
            }
            _ => Kind::Other,
        }
    } else if fragment_offset == 1 && protocol == transport::TCP {
        // Would overwrite the flags of the first fragment's TCP header (RFC 3128).
        return Err(Malformed);
    } else {
        Kind::LaterFragment
    };
    Ok(Body { segment, kind, protocol, hop_limit, icmp: about })
}
