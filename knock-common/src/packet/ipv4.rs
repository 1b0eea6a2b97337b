//! IPv4 (RFC 791).

use super::{Kind, Packet, Payload, Unfit, icmp, transport};
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
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, offset: usize, packet: &mut Packet) -> Result<(), Unfit> {
    let [first, second, third, source, destination] = frame.words(offset).ok_or(Unfit::CutShort)?;
    packet.source = Address::from_v4_word(source);
    packet.destination = Address::from_v4_word(destination);
    let [version_and_length, _, length @ ..] = first.to_be_bytes();
    let fragment = second as u16;
    let [hop_limit, protocol, ..] = third.to_be_bytes();
    packet.hop_limit = hop_limit;
    packet.protocol = protocol;
    let header_length = ((version_and_length & 0x0f) as usize) * 4;
    if version_and_length >> 4 != 4 || header_length < HEADER {
        return Err(Unfit::Malformed);
    }
    let length = match u16::from_be_bytes(length) as usize {
        0 => length_of_big(frame, offset)?,
        length => length,
    };
    if length < header_length || !frame.holds(offset + length) {
        return Err(Unfit::Malformed);
    }
    if fragment & OFFSET_MASK != 0 {
        // The second eight bytes would overwrite the flags of the first fragment's TCP header (RFC 3128).
        if fragment & OFFSET_MASK == 1 && protocol == transport::TCP {
            return Err(Unfit::Malformed);
        }
        packet.carry(Kind::LaterFragment);
        return Ok(());
    }
    let payload = Payload {
        offset: offset + header_length,
        length: length - header_length,
        fragment: fragment & MORE_FRAGMENTS != 0,
    };
    match protocol {
        transport::TCP | transport::UDP => return transport::parse(frame, payload, packet),
        ICMP => packet.carry_icmp(icmp(frame, payload, ECHO, QUERIES)),
        _ => packet.carry(Kind::Other),
    }
    Ok(())
}

/// Bytes from the IP header at `offset` on, of a frame that is too large for the header to say how many.
#[inline(always)]
pub(super) fn length_of_big<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<usize, Unfit> {
    match frame.length().saturating_sub(offset) {
        length if length > LENGTH_MAX => Ok(length),
        _ => Err(Unfit::Malformed),
    }
}
