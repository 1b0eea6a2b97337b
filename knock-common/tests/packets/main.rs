//! What is read from the bytes of a frame, field by field and at each limit.

mod frames;

use frames::*;
use knock_common::address::Address;
use knock_common::flags::TcpFlags;
use knock_common::packet::{Content, Icmp, NoPacket, Parsed, Segment, parse};
use knock_common::port::Protocol;

const SYN: Segment = Segment {
    sequence_number: 0x0102_0304,
    source_port: 40_000,
    destination_port: 7_001,
    protocol: Protocol::Tcp,
    flags: TcpFlags::SYN,
    has_payload: false,
    fragment: false,
};
const DATAGRAM: Segment =
    Segment { sequence_number: 0, protocol: Protocol::Udp, flags: TcpFlags::NONE, ..SYN };

#[track_caller]
fn is_segment(parsed: Parsed, segment: Segment) {
    carries(parsed, Content::Segment(&segment));
}

#[track_caller]
fn carries(parsed: Parsed, content: Content) {
    let Ok(packet) = parsed else { panic!("{parsed:?}, and not {content:?}") };
    assert_eq!(packet.content(), content);
}

#[track_caller]
fn is_malformed(parsed: Parsed, destination: Address) {
    assert_eq!(parsed, Err(NoPacket::Malformed(destination)));
}

#[test]
fn both_families_tell_who_sent_it_where_and_how_far() {
    let packet = PLAIN.parsed(&syn()).unwrap();
    assert_eq!((packet.source, packet.destination, packet.hop_limit), (source_v4(), destination_v4(), 57));
    assert_eq!(packet.content(), Content::Segment(&SYN));
    assert_eq!(packet.segment(), &SYN);
    let packet = parsed_v6(TCP, &syn()).unwrap();
    assert_eq!((packet.source, packet.destination, packet.hop_limit), (source_v6(), destination_v6(), 63));
    assert_eq!(packet.content(), Content::Segment(&SYN));
}

#[test]
fn two_tags_are_seen_through_and_a_third_is_malformed() {
    let (v4, v6) = (PLAIN.with(&syn()), ipv6(6, source_v6(), 20, TCP, &syn()));
    for tags in [&[][..], &[VLAN], &[SERVICE_VLAN], &[SERVICE_VLAN, VLAN], &[VLAN, VLAN]] {
        let behind =
            |ethertype, packet: &[u8]| parse(ethernet(&[tags, &[ethertype]].concat(), packet).as_slice());
        is_segment(behind(IPV4, &v4), SYN);
        is_segment(behind(IPV6, &v6), SYN);
        assert_eq!(behind(ARP, &v4), Err(NoPacket::NotIp));
    }
    for third in [VLAN, SERVICE_VLAN] {
        let frame = ethernet(&[SERVICE_VLAN, VLAN, third, IPV4], &v4);
        is_malformed(parse(frame.as_slice()), Address::UNSPECIFIED);
    }
}

#[test]
fn a_frame_that_ends_within_a_header_is_malformed() {
    let v4 = ethernet(&[VLAN, IPV4], &PLAIN.with(&syn()));
    let v6 = ethernet(&[VLAN, IPV6], &ipv6(6, source_v6(), 20, TCP, &syn()));
    for (frame, network, header) in [(v4, 18, 20), (v6, 18, 40)] {
        for length in 0..network + header {
            assert_eq!(
                parse(&frame[..length]),
                Err(NoPacket::Malformed(Address::UNSPECIFIED)),
                "{length} bytes"
            );
        }
        for length in network + header..frame.len() {
            assert!(matches!(parse(&frame[..length]), Err(NoPacket::Malformed(_))), "{length} bytes");
        }
        is_segment(parse(frame.as_slice()), SYN);
    }
}

#[test]
fn an_ipv4_header_that_lies_is_malformed() {
    is_malformed(Ipv4 { version: 5, ..PLAIN }.parsed(&syn()), destination_v4());
    is_malformed(Ipv4 { header_length: 4, ..PLAIN }.parsed(&syn()), destination_v4());
    let other = |length| Ipv4 { length: Some(length), protocol: SCTP, ..PLAIN }.parsed(&[0; 12]);
    is_malformed(other(19), destination_v4());
    carries(other(20), Content::Other(SCTP));
    carries(other(32), Content::Other(SCTP));
    is_malformed(other(33), destination_v4());
    is_malformed(other(0), destination_v4());
}

#[test]
fn ipv4_options_are_stepped_over() {
    is_segment(Ipv4 { header_length: 6, ..PLAIN }.parsed(&syn()), SYN);
    is_segment(
        Ipv4 { header_length: 15, ..PLAIN }.parsed(&tcp(5, 0x02, b"x")),
        Segment { has_payload: true, ..SYN },
    );
    // Padding to Ethernet's shortest frame is no payload.
    let padded = Ipv4 { header_length: 6, length: Some(44), ..PLAIN }.parsed(&tcp(5, 0x02, &[0; 6]));
    is_segment(padded, SYN);
}

#[test]
fn frames_that_are_larger_than_a_header_can_say_say_0() {
    let v4 = |bytes: usize| Ipv4 { length: Some(0), ..PLAIN }.parsed(&tcp(5, 0x02, &vec![0; bytes - 40]));
    is_malformed(v4(LENGTH_MAX), destination_v4());
    is_segment(v4(LENGTH_MAX + 1), Segment { has_payload: true, ..SYN });
    // What the length is worth is seen by the longest extension header.
    let v6 = |bytes: usize| {
        let segment = tcp(5, 0x02, &vec![0; bytes - 40 - 2048 - 20]);
        let payload = extension(TCP, 255, 2048, &segment);
        parse(ethernet(&[IPV6], &ipv6(6, source_v6(), 0, DESTINATION_OPTIONS, &payload)).as_slice())
    };
    is_malformed(v6(LENGTH_MAX), destination_v6());
    is_segment(v6(LENGTH_MAX + 1), Segment { has_payload: true, ..SYN });
}

#[test]
fn ipv4_fragments_are_told_by_their_offset() {
    let fragment = |fragment, protocol| Ipv4 { fragment, protocol, ..PLAIN }.parsed(&syn());
    is_segment(fragment(DO_NOT_FRAGMENT, TCP), SYN);
    is_segment(fragment(MORE_FRAGMENTS, TCP), Segment { fragment: true, ..SYN });
    is_malformed(fragment(1, TCP), destination_v4());
    is_malformed(fragment(MORE_FRAGMENTS | 1, TCP), destination_v4());
    for (offset, protocol) in
        [(2, TCP), (MORE_FRAGMENTS | 2, TCP), (0x1fff, TCP), (1, UDP), (2, UDP), (1, ICMP)]
    {
        carries(fragment(offset, protocol), Content::LaterFragment);
    }
}

#[test]
fn icmp_is_told_by_its_type() {
    let v4 = |kind: u8, bytes: usize| Ipv4 { protocol: ICMP, ..PLAIN }.parsed(&vec![kind; bytes]);
    let v6 = |kind: u8, bytes: usize| parsed_v6(ICMPV6, &vec![kind; bytes]);
    for kind in 0..=255 {
        let about = match kind {
            8 => Icmp::Echo,
            13 | 15 | 17 => Icmp::Query,
            _ => Icmp::Other,
        };
        carries(v4(kind, 8), Content::Icmp(about));
        carries(v4(kind, 64), Content::Icmp(about));
        carries(v4(kind, 7), Content::Icmp(Icmp::CutShort));
        let about = match kind {
            128 => Icmp::Echo,
            139 => Icmp::Query,
            _ => Icmp::Other,
        };
        carries(v6(kind, 8), Content::Icmp(about));
        carries(v6(kind, 7), Content::Icmp(Icmp::CutShort));
    }
    // Each family has its own.
    carries(parsed_v6(ICMP, &[8; 8]), Content::Other(ICMP));
    carries(Ipv4 { protocol: ICMPV6, ..PLAIN }.parsed(&[128; 8]), Content::Other(ICMPV6));
}

#[test]
fn an_ipv6_header_that_lies_is_malformed() {
    let parsed = |version, source, length, next_header| {
        parse(ethernet(&[IPV6], &ipv6(version, source, length, next_header, &[0; 12])).as_slice())
    };
    carries(parsed(6, source_v6(), 12, SCTP), Content::Other(SCTP));
    carries(parsed(6, source_v6(), 11, SCTP), Content::Other(SCTP));
    is_malformed(parsed(6, source_v6(), 13, SCTP), destination_v6());
    is_malformed(parsed(6, source_v6(), 0, SCTP), destination_v6());
    is_malformed(parsed(4, source_v6(), 12, SCTP), destination_v6());
    is_malformed(parsed(6, source_v4(), 12, SCTP), destination_v6());
}

#[test]
fn extension_headers_are_stepped_over() {
    for header in [HOP_BY_HOP, 43, DESTINATION_OPTIONS, 135, 139, 140] {
        is_segment(parsed_v6(header, &extension(TCP, 0, 8, &syn())), SYN);
        is_segment(parsed_v6(header, &extension(TCP, 1, 16, &syn())), SYN);
        is_segment(parsed_v6(header, &extension(UDP, 2, 24, &udp(8, &[]))), DATAGRAM);
    }
    is_segment(parsed_v6(AUTHENTICATION, &extension(TCP, 4, 24, &syn())), SYN);
    is_segment(parsed_v6(FRAGMENT, &fragment(TCP, 0, &syn())), SYN);
    is_segment(
        parsed_v6(DESTINATION_OPTIONS, &extension(TCP, 1, 16, &tcp(5, 0x02, b"x"))),
        Segment { has_payload: true, ..SYN },
    );
    carries(parsed_v6(HOP_BY_HOP, &extension(NO_NEXT_HEADER, 0, 8, &[])), Content::Other(NO_NEXT_HEADER));
    is_malformed(parsed_v6(HOP_BY_HOP, &extension(NO_NEXT_HEADER, 1, 8, &[])), destination_v6());
    is_malformed(parsed_v6(HOP_BY_HOP, &[TCP, 0, 0]), destination_v6());
}

#[test]
fn eight_extension_headers_are_stepped_over_and_a_ninth_is_malformed() {
    let chain = |headers: usize| {
        (1..headers)
            .fold(extension(TCP, 0, 8, &syn()), |payload, _| extension(DESTINATION_OPTIONS, 0, 8, &payload))
    };
    is_segment(parsed_v6(DESTINATION_OPTIONS, &chain(8)), SYN);
    is_malformed(parsed_v6(DESTINATION_OPTIONS, &chain(9)), destination_v6());
}

#[test]
fn ipv6_fragments_are_told_by_their_offset() {
    let parsed = |offset_and_flags| parsed_v6(FRAGMENT, &fragment(TCP, offset_and_flags, &syn()));
    let first = Segment { fragment: true, ..SYN };
    is_segment(parsed(1), first);
    // Reserved bits say nothing.
    is_segment(parsed(0b110), SYN);
    is_malformed(parsed(1 << 3), destination_v6());
    is_malformed(parsed(1 << 3 | 1), destination_v6());
    carries(parsed(2 << 3), Content::LaterFragment);
    carries(parsed(2 << 3 | 1), Content::LaterFragment);
    carries(parsed(0xfff8), Content::LaterFragment);
    // Behind a later fragment's header lies no other, whatever it says.
    carries(
        parsed_v6(FRAGMENT, &fragment(DESTINATION_OPTIONS, 2 << 3, &extension(TCP, 255, 8, &[]))),
        Content::LaterFragment,
    );
    is_segment(parsed_v6(FRAGMENT, &fragment(DESTINATION_OPTIONS, 1, &extension(TCP, 0, 8, &syn()))), first);
    is_segment(parsed_v6(FRAGMENT, &fragment(FRAGMENT, 1, &fragment(TCP, 0, &syn()))), first);
}

#[test]
fn a_tcp_header_that_lies_is_malformed() {
    for (data_offset, bytes, well_formed) in [(4, 20, false), (5, 20, true), (6, 20, false), (6, 24, true)] {
        let segment = tcp(data_offset, 0x02, &vec![0; bytes - 20]);
        match well_formed {
            true => is_segment(PLAIN.parsed(&segment), SYN),
            false => is_malformed(PLAIN.parsed(&segment), destination_v4()),
        }
    }
    is_malformed(PLAIN.parsed(&syn()[..19]), destination_v4());
    is_segment(PLAIN.parsed(&tcp(5, 0x02, b"x")), Segment { has_payload: true, ..SYN });
    // The options of a first fragment may lie in the next one.
    let first = Ipv4 { fragment: MORE_FRAGMENTS, ..PLAIN };
    is_segment(first.parsed(&tcp(8, 0x02, &[])), Segment { fragment: true, ..SYN });
    is_malformed(first.parsed(&tcp(4, 0x02, &[])), destination_v4());
    is_malformed(first.parsed(&syn()[..19]), destination_v4());
}

#[test]
fn the_six_classic_flags_are_read() {
    for byte in 0..=255 {
        let flags = TcpFlags::from_header(byte);
        is_segment(PLAIN.parsed(&tcp(5, byte, &[])), Segment { flags, ..SYN });
        let parsed = PLAIN.parsed(&tcp(5, byte, &[])).unwrap();
        assert_eq!(parsed.segment().opens_connection(), byte & 0x12 == 0x02);
    }
    assert!(!DATAGRAM.opens_connection());
    assert!(!Segment { protocol: Protocol::Udp, ..SYN }.opens_connection());
}

#[test]
fn a_udp_header_that_lies_is_malformed() {
    let datagram = Ipv4 { protocol: UDP, ..PLAIN };
    is_malformed(datagram.parsed(&udp(7, &[])), destination_v4());
    is_segment(datagram.parsed(&udp(8, &[])), DATAGRAM);
    is_malformed(datagram.parsed(&udp(9, &[])), destination_v4());
    is_segment(datagram.parsed(&udp(9, b"x")), DATAGRAM);
    is_segment(datagram.parsed(&udp(8, b"x")), DATAGRAM);
    is_malformed(datagram.parsed(&udp(8, &[])[..7]), destination_v4());
    let first = Ipv4 { fragment: MORE_FRAGMENTS, ..datagram };
    is_segment(first.parsed(&udp(1000, &[])), Segment { fragment: true, ..DATAGRAM });
    is_malformed(first.parsed(&udp(7, &[])), destination_v4());
}
