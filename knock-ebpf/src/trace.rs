//! Logs what happens to every packet; in a program of its own, because logging multiplies the verifier's work.

use aya_ebpf::programs::XdpContext;
use knock_common::judge::Judgement;
use knock_common::packet::{Content, NoPacket, Packet};
use knock_common::port::Protocol;

/// Numbers of the protocols (IANA).
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;

#[inline(always)]
pub fn log(context: &XdpContext, parsed: Result<&Packet, NoPacket>, judgement: &Judgement) {
    let reason = judgement.reason() as u8;
    let Ok(packet) = parsed else {
        aya_log_ebpf::info!(context, "no packet: reason {}", reason);
        return;
    };
    let (protocol, port) = match packet.content() {
        Content::Segment(segment) => match segment.protocol {
            Protocol::Tcp => (TCP, segment.destination_port),
            Protocol::Udp => (UDP, segment.destination_port),
        },
        Content::Icmp(_) => (ICMP, 0),
        Content::Other(number) => (number, 0),
        Content::LaterFragment => (0, 0),
    };
    let source = packet.source.octets();
    aya_log_ebpf::info!(context, "{:i} to port {} of protocol {}: reason {}", source, port, protocol, reason);
}
