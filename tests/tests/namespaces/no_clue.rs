//! A scanner cannot tell a knock port from its neighbours by what answers.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use knock_tests::lab::{Machine, RawSocket, privileged};

use crate::site::*;

const PROBES: usize = 10_000;
const KNOCK_PORT: u16 = 7000;
const NEIGHBOUR: u16 = 7001;

const DOORS: &str = "[doors.tcp]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n\
                     [doors.udp]\nsequence = [\"7000/udp\", \"8000/udp\", \"9000/udp\"]\nopens = [\"4500/udp\"]\n";

#[test]
fn by_tcp_natively() {
    answers_are_alike("native", Knock::Tcp);
}

#[test]
fn by_udp_natively() {
    answers_are_alike("native", Knock::Udp);
}

#[test]
fn by_tcp_in_generic_mode() {
    answers_are_alike("generic", Knock::Tcp);
}

#[test]
fn by_udp_in_generic_mode() {
    answers_are_alike("generic", Knock::Udp);
}

fn answers_are_alike(mode: &str, knock: fn(u16) -> Knock) {
    if !privileged() {
        return;
    }
    let site = Site::new(DOORS);
    let lab = &site.lab;
    lab.enter(Machine::Server, answer_every_datagram).unwrap();
    let _controller = site.attach(&["--mode", mode]);
    let socket = lab.raw_socket(Machine::Stranger).unwrap();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let [knock_port, neighbour] = probe(&socket, server, knock);
        assert_eq!([knock_port.len(), neighbour.len()], [PROBES; 2], "each is answered");
        let kinds = |answers: Vec<Vec<u8>>| answers.into_iter().collect::<BTreeSet<_>>();
        assert!(kinds(knock_port) == kinds(neighbour), "they answer alike");
    }
}

/// The answers of the knock port and of its neighbour, probed in random order.
fn probe(socket: &RawSocket, server: IpAddr, knock: fn(u16) -> Knock) -> [Vec<Vec<u8>>; 2] {
    let mut ports = [KNOCK_PORT, NEIGHBOUR].repeat(PROBES);
    fastrand::shuffle(&mut ports);
    let mut found = [Vec::new(), Vec::new()];
    for (number, port) in (0u16..).zip(ports) {
        let source_port = 10_000 + number;
        let frame = knock(port).frame(Machine::Stranger.of_family(server), server, source_port).build();
        socket.send(&frame).unwrap();
        let answer = socket.receive(LIMIT, |frame| answers(frame, port, source_port)).unwrap();
        found[usize::from(port == NEIGHBOUR)].extend(answer.map(|frame| without_ports(frame, server)));
    }
    found
}

/// An answer without what differs from one to the next: the IP header's identification and checksum, or its flow label, and what
/// follows the IP header beyond its length.
fn without_ports(mut frame: Vec<u8>, server: IpAddr) -> Vec<u8> {
    let varying =
        if server.is_ipv4() { [18..20, 24..26, 34..frame.len()] } else { [15..18, 0..0, 54..frame.len()] };
    for range in varying {
        frame[range].fill(0);
    }
    frame
}

/// Whether the server says in this frame that the port is closed.
fn answers(frame: &[u8], port: u16, source_port: u16) -> bool {
    let Ok(packet) = PacketHeaders::from_ethernet_slice(frame) else { return false };
    match packet.transport {
        Some(TransportHeader::Tcp(tcp)) => {
            tcp.rst && (tcp.source_port, tcp.destination_port) == (port, source_port)
        }
        // They quote the datagram.
        Some(TransportHeader::Icmpv4(_) | TransportHeader::Icmpv6(_)) => {
            let header = if matches!(packet.net, Some(NetHeaders::Ipv4(..))) { 20 } else { 40 };
            let ports = [source_port.to_be_bytes(), port.to_be_bytes()].concat();
            packet.payload.slice().get(header..header + 4) == Some(&ports)
        }
        _ => false,
    }
}

/// Linux limits how often it says that a UDP port is closed, unless told otherwise.
fn answer_every_datagram() {
    for (setting, limited) in [("ipv4/icmp_ratemask", "0"), ("ipv6/icmp/ratemask", "128")] {
        fs::write(format!("/proc/sys/net/{setting}"), limited).unwrap();
    }
}
