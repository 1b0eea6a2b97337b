//! Reading a frame.

use crate::model::{self, Segment};
use crate::rule_set::protocol;
use knock_common::packet::{self, Content, Icmp, NoPacket, Packet, parse};
use std::net::IpAddr;

/// The core reads a frame as the model does.
pub fn packet(frame: &[u8]) {
    match (parse(frame), model::parse(frame)) {
        (Err(NoPacket::NotIp), model::Parsed::NotIp) => {}
        (Err(NoPacket::Malformed(destination)), model::Parsed::Malformed) => {
            assert_eq!(destination.octets(), [0; 16], "a destination that can't be read");
        }
        (
            Err(NoPacket::Malformed(found)),
            model::Parsed::Ip { destination, content: model::Content::Malformed, .. },
        ) => assert_eq!(found.to_ip(), destination),
        (Ok(packet), model::Parsed::Ip { source, destination, content }) => {
            assert_eq!((packet.source.to_ip(), packet.destination.to_ip()), (source, destination));
            assert_same_content(&packet, source, &content);
        }
        (core, model) => panic!("core {core:?}, model {model:?}"),
    }
}

fn assert_same_content(packet: &Packet, source: IpAddr, expected: &model::Content) {
    match (packet.content(), expected) {
        (Content::Segment(segment), model::Content::Segment(expected)) => {
            assert_eq!(packet.hop_limit, expected.hop_limit);
            assert_same_segment(segment, expected);
        }
        (Content::LaterFragment, model::Content::LaterFragment) => {}
        (Content::Icmp(found), model::Content::Icmp(kind)) => assert_eq!(found, meaning(source, *kind)),
        (Content::Other(found), model::Content::OtherProtocol(number)) => assert_eq!(found, *number),
        (core, model) => panic!("core {core:?}, model {model:?}"),
    }
}

fn assert_same_segment(found: &packet::Segment, expected: &Segment) {
    assert_eq!(found.protocol, protocol(expected.port.protocol));
    assert_eq!(
        (found.source_port, found.destination_port, found.sequence_number, found.fragment),
        (expected.source_port, expected.port.number, expected.sequence, expected.fragment)
    );
    // ECE and CWR mean nothing to a knock.
    assert_eq!(found.flags.bits(), expected.flags & 0x3f);
    assert_eq!(found.opens_connection(), expected.opens_connection());
    // Of a datagram nobody asks it.
    if expected.is_tcp() {
        assert_eq!(found.has_payload, expected.payload_length > 0);
    }
}

/// By the types of ICMP and ICMPv6 (IANA).
fn meaning(source: IpAddr, kind: Option<u8>) -> Icmp {
    match (source.is_ipv4(), kind) {
        (_, None) => Icmp::CutShort,
        (true, Some(8)) | (false, Some(128)) => Icmp::Echo,
        (true, Some(13 | 15 | 17)) | (false, Some(139)) => Icmp::Query,
        _ => Icmp::Other,
    }
}
