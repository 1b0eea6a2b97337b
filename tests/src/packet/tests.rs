//! The builder against an independent parser.

use super::Frame;
use super::numbers::*;
use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use std::net::IpAddr;

fn v4() -> (IpAddr, IpAddr) {
    ("192.0.2.7".parse().unwrap(), "10.0.0.1".parse().unwrap())
}

fn v6() -> (IpAddr, IpAddr) {
    ("2001:db8::7".parse().unwrap(), "fd00::1".parse().unwrap())
}

fn assert_checksums(frame: &[u8]) {
    let packet = PacketHeaders::from_ethernet_slice(frame).unwrap();
    let payload = packet.payload.slice();
    let net = packet.net.unwrap();
    if let NetHeaders::Ipv4(header, _) = &net {
        assert_eq!(header.header_checksum, header.calc_header_checksum());
    }
    match (packet.transport.unwrap(), &net) {
        (TransportHeader::Tcp(tcp), NetHeaders::Ipv4(ip, _)) => {
            assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(ip, payload).unwrap());
        }
        (TransportHeader::Tcp(tcp), NetHeaders::Ipv6(ip, _)) => {
            assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(ip, payload).unwrap());
        }
        (TransportHeader::Udp(udp), NetHeaders::Ipv4(ip, _)) => {
            assert_eq!(udp.checksum, udp.calc_checksum_ipv4(ip, payload).unwrap());
        }
        (TransportHeader::Udp(udp), NetHeaders::Ipv6(ip, _)) => {
            assert_eq!(udp.checksum, udp.calc_checksum_ipv6(ip, payload).unwrap());
        }
        (TransportHeader::Icmpv4(icmp), _) => {
            assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(payload));
        }
        (TransportHeader::Icmpv6(icmp), NetHeaders::Ipv6(ip, _)) => {
            let sum = icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload).unwrap();
            assert_eq!(icmp.checksum, sum);
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn checksums_are_right_by_default() {
    for (source, destination) in [v4(), v6()] {
        assert_checksums(&Frame::tcp(source, destination).ports(1, 2).payload(b"odd").build());
        assert_checksums(&Frame::udp(source, destination).ports(1, 2).payload(b"even").build());
        assert_checksums(&Frame::icmp(source, destination).payload(b"ping").build());
    }
    let (source, destination) = v4();
    assert_checksums(&Frame::tcp(source, destination).ip_options(&[1; 40]).tcp_options(&[1; 40]).build());
}

#[test]
fn tcp_fields_arrive_where_they_belong() {
    let (source, destination) = v4();
    let frame = Frame::tcp(source, destination)
        .vlan(STAG, 7)
        .vlan(CTAG, 0)
        .ttl(3)
        .ports(40_001, 7000)
        .flags(SYN | URG)
        .sequence(99)
        .payload(b"xyz")
        .build();
    let packet = PacketHeaders::from_ethernet_slice(&frame).unwrap();
    assert_eq!(packet.vlan_ids().iter().map(|id| id.value()).collect::<Vec<_>>(), [7, 0]);
    let Some(NetHeaders::Ipv4(ip, _)) = &packet.net else { panic!("not IPv4") };
    assert_eq!((ip.time_to_live, ip.source, ip.destination), (3, [192, 0, 2, 7], [10, 0, 0, 1]));
    let Some(TransportHeader::Tcp(tcp)) = &packet.transport else { panic!("not TCP") };
    assert_eq!((tcp.source_port, tcp.destination_port, tcp.sequence_number), (40_001, 7000, 99));
    assert!(tcp.syn && tcp.urg && !tcp.ack && !tcp.fin && !tcp.rst && !tcp.psh);
    assert_eq!(packet.payload.slice(), b"xyz");
}

#[test]
fn extension_headers_are_chained_in_order() {
    let (source, destination) = v6();
    let frame = Frame::udp(source, destination)
        .extension(HOP_BY_HOP, 16)
        .extension(ROUTING, 24)
        .fragment(0, false)
        .extension(AUTHENTICATION, 24)
        .ports(5, 8000)
        .build();
    let packet = PacketHeaders::from_ethernet_slice(&frame).unwrap();
    let Some(NetHeaders::Ipv6(_, extensions)) = &packet.net else { panic!("not IPv6") };
    assert_eq!(extensions.hop_by_hop_options.as_ref().unwrap().header_len(), 16);
    assert_eq!(extensions.routing.as_ref().unwrap().routing.header_len(), 24);
    assert_eq!(extensions.auth.as_ref().unwrap().header_len(), 24);
    let fragment = extensions.fragment.as_ref().unwrap();
    assert!(!fragment.more_fragments && fragment.fragment_offset.value() == 0);
    let Some(TransportHeader::Udp(udp)) = &packet.transport else { panic!("not UDP") };
    assert_eq!((udp.destination_port, udp.length), (8000, 8));
}

#[test]
fn overrides_lie_and_nothing_else_changes() {
    let (source, destination) = v4();
    let honest = Frame::tcp(source, destination).ports(1, 2).build();
    let changed = |frame: Frame| -> Vec<usize> {
        let lying = frame.ports(1, 2).build();
        assert_eq!(lying.len(), honest.len());
        let at = (0..honest.len()).filter(|&at| lying[at] != honest[at]);
        // The header checksum follows what the header says.
        at.filter(|at| !(24..26).contains(at) && !(50..52).contains(at)).collect()
    };
    assert_eq!(changed(Frame::tcp(source, destination).version(6)), [14]);
    assert_eq!(changed(Frame::tcp(source, destination).ihl(4)), [14]);
    assert_eq!(changed(Frame::tcp(source, destination).total_length(0)), [17]);
    assert_eq!(changed(Frame::tcp(source, destination).data_offset(4)), [46]);
    assert_eq!(changed(Frame::tcp(source, destination).corrupt_checksums()), [0usize; 0]);
}

#[test]
fn fragments_say_where_they_belong() {
    let (source, destination) = v4();
    let frame = Frame::tcp(source, destination).fragment(3, true).cut_transport(16).build();
    assert_eq!(frame.len(), 14 + 20 + 16);
    assert_eq!(frame[16..18], 36u16.to_be_bytes());
    assert_eq!(frame[20..22], 0x2003u16.to_be_bytes());
    let (source, destination) = v6();
    let frame = Frame::tcp(source, destination).fragment(3, true).build();
    assert_eq!(frame[20], FRAGMENT);
    assert_eq!(frame[54..58], [TCP, 0, 0, 0x19]);
}

#[test]
fn padding_and_truncation_come_last() {
    let (source, destination) = v4();
    let honest = Frame::udp(source, destination).build();
    let padded = Frame::udp(source, destination).padding(18).build();
    assert_eq!(padded[..honest.len()], honest);
    assert_eq!(padded.len(), honest.len() + 18);
    assert_eq!(Frame::udp(source, destination).padding(18).truncate(20).build(), honest[..20]);
}

#[test]
fn a_packet_too_long_for_its_length_field_says_zero() {
    for (source, destination) in [v4(), v6()] {
        let frame = Frame::tcp(source, destination).payload(&vec![0; 65_536]).build();
        let field = if source.is_ipv4() { 16..18 } else { 18..20 };
        assert_eq!(frame[field], [0, 0]);
    }
}
