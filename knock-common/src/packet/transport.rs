//! TCP (RFC 9293) and UDP (RFC 768).

use super::{Malformed, Payload, Segment};
use crate::flags::TcpFlags;
use crate::frame::Frame;
use crate::port::Protocol;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(
    frame: &F,
    protocol: u8,
    payload: Payload,
) -> Result<Segment, Malformed> {
    if protocol == TCP { tcp(frame, payload) } else { udp(frame, payload) }
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, payload: Payload) -> Result<Segment, Malformed> {
    if payload.length < TCP_HEADER {
        return Err(Malformed);
    }
    let [source_port, destination_port, n0, n1, _, _, offset_and_flags] =
        frame.words(payload.offset).ok_or(Malformed)?;
    let [data_offset, flags] = offset_and_flags.to_be_bytes();
    let header_length = ((data_offset >> 4) as usize) * 4;
    // The options of a first fragment may lie in the next one.
    if header_length < TCP_HEADER || (header_length > payload.length && !payload.fragment) {
        return Err(Malformed);
    }
    Ok(Segment {
        protocol: Protocol::Tcp,
        source_port,
        destination_port,
        flags: TcpFlags::from_header(flags),
        sequence_number: (n0 as u32) << 16 | n1 as u32,
        has_payload: payload.length > header_length,
        fragment: payload.fragment,
    })
}

#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, payload: Payload) -> Result<Segment, Malformed> {
    if payload.length < UDP_HEADER {
        return Err(Malformed);
    }
    let [source_port, destination_port, length, _] = frame.words(payload.offset).ok_or(Malformed)?;
    let length = length as usize;
    if length < UDP_HEADER || (length > payload.length && !payload.fragment) {
        return Err(Malformed);
    }
    Ok(Segment {
        protocol: Protocol::Udp,
        source_port,
        destination_port,
        flags: TcpFlags::NONE,
        sequence_number: 0,
        has_payload: length > UDP_HEADER,
        fragment: payload.fragment,
    })
}
