//! A scanner cannot tell a knock port from its neighbours, neither by what answers nor by when.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use etherparse::{PacketHeaders, TransportHeader};
use knock_tests::lab::{Machine, RawSocket};
use knock_tests::statistics::kolmogorov_smirnov;

use crate::site::*;

const PROBES: usize = 10_000;
/// Between probes: above a rate they are not made even.
const PAUSE: Duration = Duration::from_micros(1);
const KNOCK_PORT: u16 = 7000;
const NEIGHBOUR: u16 = 7001;

const DOORS: &str = "[doors.tcp]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n\
                     [doors.udp]\nsequence = [\"7000/udp\", \"8000/udp\", \"9000/udp\"]\nopens = [\"4500/udp\"]\n";

in_each_mode!(
    tcp_tells_nothing,
    udp_tells_nothing,
    silence_tells_nothing,
    times_of_tcp_tell_nothing,
    times_of_udp_tell_nothing,
);

fn tcp_tells_nothing(mode: Mode) {
    answers_are_alike(mode, Knock::Tcp);
}

fn udp_tells_nothing(mode: Mode) {
    answers_are_alike(mode, Knock::Udp);
}

fn answers_are_alike(mode: Mode, knock: fn(u16) -> Knock) {
    let site = Site::new(DOORS);
    let lab = &site.lab;
    lab.enter(Machine::Server, answer_every_datagram).unwrap();
    let _controller = site.attach_in(mode);
    let socket = lab.raw_socket(Machine::Stranger).unwrap();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let [knock_port, neighbour] = probe(&socket, server, knock);
        assert_eq!([knock_port.len(), neighbour.len()], [PROBES; 2], "each is answered");
        let kinds = |answers: Vec<Vec<u8>>| answers.into_iter().collect::<BTreeSet<_>>();
        assert!(kinds(knock_port) == kinds(neighbour), "they answer alike");
    }
}

fn times_of_tcp_tell_nothing(mode: Mode) {
    times_are_alike(mode, Knock::Tcp);
}

fn times_of_udp_tell_nothing(mode: Mode) {
    times_are_alike(mode, Knock::Udp);
}

/// On one CPU, so that hardly anything but the server's own work varies.
fn times_are_alike(mode: Mode, knock: fn(u16) -> Knock) {
    let site = Site::new(DOORS);
    let lab = &site.lab;
    lab.enter(Machine::Server, answer_every_datagram).unwrap();
    let _controller = site.attach_in(mode);
    keep_order_on_the_wire();
    let socket = lab.raw_socket(Machine::Stranger).unwrap();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        // Of a hundred honest runs one falls under 0.01, of ten thousand one does twice.
        let p = [(); 2].map(|()| {
            let [knock_port, neighbour] = times(&socket, server, knock);
            kolmogorov_smirnov(&knock_port, &neighbour)
        });
        assert!(p.iter().any(|&p| p > 0.01), "{server}: {p:?}");
    }
}

/// The nanoseconds to the answers of the knock port and of its neighbour, probed in random order.
fn times(socket: &RawSocket, server: IpAddr, knock: fn(u16) -> Knock) -> [Vec<u64>; 2] {
    let mut ports = [KNOCK_PORT, NEIGHBOUR].repeat(PROBES);
    fastrand::shuffle(&mut ports);
    let mut times = [Vec::new(), Vec::new()];
    for (source_port, port) in (10_000..).zip(ports) {
        let frame = knock(port).frame(Machine::Stranger.of_family(server), server, source_port).build();
        std::thread::sleep(PAUSE);
        let begun = Instant::now();
        socket.send(&frame).unwrap();
        socket.receive(limit(), |frame| answers(frame, port, source_port)).unwrap().unwrap();
        times[usize::from(port == NEIGHBOUR)].push(begun.elapsed().as_nanos() as u64);
    }
    times
}

/// Behind `policy = "drop"` nothing answers but the public port, which is asked last.
fn silence_tells_nothing(mode: Mode) {
    let site = Site::new(&format!("[filter]\npolicy = \"drop\"\npublic = [\"80/tcp\"]\n{DOORS}"));
    let lab = &site.lab;
    lab.enter(Machine::Server, answer_every_datagram).unwrap();
    let _services = [Service::start(lab, SSH), Service::start(lab, 8080)];
    let _controller = site.attach_in(mode);
    let socket = lab.raw_socket(Machine::Stranger).unwrap();
    keep_order_on_the_wire();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let send = |knock: Knock, source_port| {
            let frame = knock.frame(Machine::Stranger.of_family(server), server, source_port).build();
            socket.send(&frame).unwrap();
        };
        let mut probes = [Knock::Tcp, Knock::Udp]
            .map(|knock| [KNOCK_PORT, NEIGHBOUR, SSH, 8080].map(knock))
            .concat()
            .repeat(PROBES / 4);
        fastrand::shuffle(&mut probes);
        for (source_port, probe) in (10_000..).zip(probes) {
            send(probe, source_port);
        }
        send(Knock::Tcp(80), 1);
        let is_answer = |frame: &[u8]| {
            frame[6..12] == Machine::Server.mac()
                && transport(frame).is_some_and(|transport| !is_of_link(&transport))
        };
        let answer = socket.receive(limit(), is_answer).unwrap().unwrap();
        assert!(answers(&answer, 80, 1), "{answer:x?}");
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
        let answer = socket.receive(limit(), |frame| answers(frame, port, source_port)).unwrap();
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
    match transport(frame) {
        Some(TransportHeader::Tcp(tcp)) => {
            tcp.rst && (tcp.source_port, tcp.destination_port) == (port, source_port)
        }
        // They quote the datagram.
        Some(TransportHeader::Icmpv4(_)) => quotes(frame, 34 + 8 + 20, port, source_port),
        Some(TransportHeader::Icmpv6(_)) => quotes(frame, 54 + 8 + 40, port, source_port),
        _ => false,
    }
}

fn quotes(frame: &[u8], at: usize, port: u16, source_port: u16) -> bool {
    let ports = [source_port.to_be_bytes(), port.to_be_bytes()].concat();
    frame.get(at..at + 4) == Some(&ports)
}

fn transport(frame: &[u8]) -> Option<TransportHeader> {
    PacketHeaders::from_ethernet_slice(frame).ok()?.transport
}

/// Neighbours look for each other, whoever asks.
fn is_of_link(transport: &TransportHeader) -> bool {
    matches!(transport, TransportHeader::Icmpv6(icmp) if (133..=137).contains(&icmp.icmp_type.type_u8()))
}

/// Linux limits how often it says that a UDP port is closed, unless told otherwise.
fn answer_every_datagram() {
    for (setting, limited) in [("ipv4/icmp_ratemask", "0"), ("ipv6/icmp/ratemask", "128")] {
        fs::write(format!("/proc/sys/net/{setting}"), limited).unwrap();
    }
}
