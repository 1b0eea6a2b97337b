//! TCP (RFC 9293) and UDP (RFC 768).

use super::{Packet, Payload, Segment, Unfit};
use crate::flags::TcpFlags;
use crate::frame::Frame;
use crate::port::Protocol;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// The header at the beginning of `payload`, of the protocol that the packet says.
#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(
    frame: &F,
    payload: Payload,
    packet: &mut Packet,
) -> Result<(), Unfit> {
    if packet.protocol == TCP { tcp(frame, payload, packet) } else { udp(frame, payload, packet) }
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, payload: Payload, packet: &mut Packet) -> Result<(), Unfit> {
    if payload.length < TCP_HEADER {
        return Err(Unfit::Malformed);
    }
    let [ports, sequence_number, _, offset_and_flags] =
        frame.words(payload.offset).ok_or(Unfit::Malformed)?;
    let [data_offset, flags, ..] = offset_and_flags.to_be_bytes();
    let header_length = ((data_offset >> 4) as usize) * 4;
    // The options of a first fragment may lie in the next one.
    if header_length < TCP_HEADER || (header_length > payload.length && !payload.fragment) {
        return Err(Unfit::Malformed);
    }
    packet.carry_segment(Segment {
        protocol: Protocol::Tcp,
        source_port: (ports >> 16) as u16,
        destination_port: ports as u16,
        flags: TcpFlags::from_header(flags),
        sequence_number,
        has_payload: payload.length > header_length,
        fragment: payload.fragment,
    });
    Ok(())
}

#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, payload: Payload, packet: &mut Packet) -> Result<(), Unfit> {
    if payload.length < UDP_HEADER {
        return Err(Unfit::Malformed);
    }
    let [ports, length_and_checksum] = frame.words(payload.offset).ok_or(Unfit::Malformed)?;
    let length = (length_and_checksum >> 16) as usize;
    if length < UDP_HEADER || (length > payload.length && !payload.fragment) {
        return Err(Unfit::Malformed);
    }
    packet.carry_segment(Segment {
        protocol: Protocol::Udp,
        source_port: (ports >> 16) as u16,
        destination_port: ports as u16,
        flags: TcpFlags::NONE,
        sequence_number: 0,
        has_payload: false,
        fragment: payload.fragment,
    });
    Ok(())
}
