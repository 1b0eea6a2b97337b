use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::error::ErrorKind;
use knock_common::port::Port;

use super::*;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    knock: KnockArguments,
}

fn parse(line: &str) -> Result<KnockArguments, clap::Error> {
    CommandLine::try_parse_from(line.split_whitespace()).map(|line| line.knock)
}

/// With no hosts.toml.
fn run_line(line: &str) -> anyhow::Result<()> {
    carry_out(Plan::new(&parse(line)?, None)?, false)
}

/// At a host with both of the loopback addresses, one UDP port.
fn knocking(port: u16) -> Knocking {
    let addresses = [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()];
    Knocking {
        host: "here".to_owned(),
        addresses: addresses.map(|address| SocketAddr::new(address, 0)).to_vec(),
        sequence: Sequence::new(vec![Port::udp(port).unwrap()]).unwrap(),
        delay: Duration::ZERO,
        verbose: false,
        notes: Notes::Stdout,
    }
}

fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn udp_listener(address: impl Into<IpAddr>) -> (UdpSocket, u16) {
    let listener = UdpSocket::bind((address.into(), 0)).unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn a_udp_knock_is_one_datagram_of_one_byte() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let (listener, port) = udp_listener(address);
        run_line(&format!("knock {address} {port}:udp")).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(listener.recv(&mut buffer).unwrap(), 1);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.recv(&mut buffer).is_err(), "a second datagram");
    }
}

#[test]
fn tcp_knocks_at_one_port_come_from_two_source_ports_and_are_closed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    run_line(&format!("knock -d 0 127.0.0.1 {port} {port}")).unwrap();
    let (first, first_peer) = listener.accept().unwrap();
    let (_, second_peer) = listener.accept().unwrap();
    assert_ne!(first_peer.port(), second_peer.port());
    assert_eq!(first.peek(&mut [0]).unwrap(), 0, "the knock's connection is at its end");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "a third connection");
}

#[test]
fn knocks_keep_their_order_and_distance() {
    let (first, first_port) = udp_listener(Ipv4Addr::LOCALHOST);
    let (second, second_port) = udp_listener(Ipv4Addr::LOCALHOST);
    let started = Instant::now();
    run_line(&format!("knock -u -d 120 127.0.0.1 {first_port} {} {second_port}", closed_port())).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(240));
    first.recv(&mut [0]).unwrap();
    second.recv(&mut [0]).unwrap();
}

#[test]
fn every_address_of_a_name_is_knocked_at_unless_a_family_is_chosen() {
    let (over_ipv4, port) = udp_listener(Ipv4Addr::LOCALHOST);
    let over_ipv6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).unwrap();
    over_ipv6.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let reached = knocking(port).once().unwrap();
    assert_eq!(reached.len(), 2);
    over_ipv4.recv(&mut [0]).unwrap();
    over_ipv6.recv(&mut [0]).unwrap();
}

#[test]
fn an_address_of_the_wrong_family_is_an_error_that_says_so() {
    let error = run_line("knock -6 127.0.0.1 7000").unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1 has no IPv6 address");
}

#[test]
fn a_name_without_addresses_is_an_error_that_names_it() {
    let error = run_line("knock nowhere.invalid 7000").unwrap_err();
    assert!(error.to_string().starts_with("nowhere.invalid has no address: "), "{error}");
}

#[test]
fn a_host_that_no_packet_can_be_sent_to_is_an_error_without_the_sequence() {
    // Multicast addresses take no TCP connection: the kernel refuses with "network unreachable".
    let error = run_line("knock 224.0.0.1 31207").unwrap_err().to_string();
    assert!(error.starts_with("no address of 224.0.0.1 can be reached; 224.0.0.1: "), "{error}");
    assert!(!error.contains("31207"), "{error}");
}

#[test]
fn a_line_is_used_up_by_knocking_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("lines");
    std::fs::write(&file, " 31207,5481\n 1,2\n").unwrap();
    let text = || std::fs::read_to_string(&file).unwrap();
    let one_time = format!("--one-time {}", file.display());
    run_line(&format!("knock nowhere.invalid {one_time}")).unwrap_err();
    assert_eq!(text(), " 31207,5481\n 1,2\n");
    // Multicast addresses take no TCP connection: the mark is there although no knock was sent.
    run_line(&format!("knock 224.0.0.1 {one_time}")).unwrap_err();
    assert_eq!(text(), "#31207,5481\n 1,2\n");
}

#[test]
fn wait_succeeds_on_a_listener() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    run_line(&format!("knock 127.0.0.1 {} --wait {port}/tcp", closed_port())).unwrap();
}

#[test]
fn wait_sees_a_port_that_opens_late_at_one_of_the_addresses() {
    let port = closed_port();
    let opens = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap()
    });
    let wait = port.to_string().parse().unwrap();
    knocking(closed_port()).until_answered(wait, 0, Patience::DEFAULT).unwrap();
    opens.join().unwrap();
}

#[test]
fn wait_for_a_closed_port_fails_and_retry_knocks_again() {
    let (listener, port) = udp_listener(Ipv4Addr::LOCALHOST);
    let wait: WaitPort = closed_port().to_string().parse().unwrap();
    let patience = Patience { total: Duration::from_millis(50), ..Patience::DEFAULT };
    let error = knocking(port).until_answered(wait, 1, patience).unwrap_err().to_string();
    assert_eq!(error, format!("here was knocked at, but {wait} did not answer within 0.05 seconds"));
    listener.recv(&mut [0]).unwrap();
    listener.recv(&mut [0]).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(listener.recv(&mut [0]).is_err(), "a third knock");
}

#[test]
fn wrong_calls_are_refused_before_anything_is_sent() {
    for (line, kind) in [
        ("knock", ErrorKind::MissingRequiredArgument),
        ("knock example.net 0", ErrorKind::ValueValidation),
        ("knock example.net 1 --wait 53/udp", ErrorKind::ValueValidation),
        ("knock -4 -6 example.net 1", ErrorKind::ArgumentConflict),
        ("knock example.net 1 --one-time file", ErrorKind::ArgumentConflict),
        ("knock -u example.net", ErrorKind::MissingRequiredArgument),
    ] {
        assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
    }
}
