//! The connection right behind the last knock is accepted.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use knock_tests::lab::{INTERFACE, Lab, Machine, RawSocket, privileged};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, SYN};

use crate::site::*;

const TRIES: u16 = 100;

#[test]
fn behind_the_stock_client_on_one_queue_over_ipv4() {
    behind_the_stock_client(Lab::new, Machine::Server.v4(), &[]);
}

#[test]
fn behind_the_stock_client_on_one_queue_over_ipv6() {
    behind_the_stock_client(Lab::new, Machine::Server.v6(), &[]);
}

#[test]
fn behind_the_stock_client_on_eight_queues_with_a_pause() {
    let lab = || {
        let lab = Lab::with_queues(8)?;
        lab.spread_flows_over_cpus()?;
        Ok(lab)
    };
    behind_the_stock_client(lab, Machine::Server.v4(), &["-d", "20"]);
}

/// Each try comes from an address of its own, which has never knocked.
fn behind_the_stock_client(lab: impl FnOnce() -> anyhow::Result<Lab>, server: IpAddr, options: &[&str]) {
    if !privileged() {
        return;
    }
    let site = Site::over(lab().unwrap(), SSH_DOOR);
    let lab = &site.lab;
    let service = Service::start(lab, SSH);
    let mut controller = site.attach(&["--mode", "native"]);
    keep_order_on_the_wire();
    for number in 0..TRIES {
        let address = address(server, number);
        speak_as(&site, address, server);
        if number == 0 {
            assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        }
        stock_knock(lab, Machine::Client, options, server, SSH_SEQUENCE);
        let answer = connect(lab, Machine::Client, server, SSH);
        assert!(answer.is_accepted(), "try {number}: {answer:?}");
        assert_eq!(answer.stream().local_addr().unwrap().ip(), address);
    }
    controller.expect(&format!("{}: ssh: OPEN SESAME", address(server, TRIES - 1)));
    assert_eq!(controller.count("OPEN SESAME"), usize::from(TRIES));
    eventually("all are accepted", || service.accepted() == usize::from(TRIES));
}

/// The fastest client there can be: four frames with nothing between them. One queue keeps them in order.
#[test]
fn behind_three_raw_knocks_without_any_pause() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    let _controller = site.attach(&["--mode", "native"]);
    keep_order_on_the_wire();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let accepted = raw_tries(&site, server);
        assert_eq!(accepted, usize::from(TRIES));
    }
}

/// Across queues the frame behind the last knock may be the first to be looked at: how often is told, not promised.
#[test]
fn what_queues_did_to_the_order_does_no_lasting_harm() {
    if !privileged() {
        return;
    }
    let site = Site::over(Lab::with_queues(8).unwrap(), SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    let _controller = site.attach(&["--mode", "native"]);
    site.lab.spread_flows_over_cpus().unwrap();
    keep_order_on_the_wire();
    let server = Machine::Server.v4();
    let raw = raw_tries(&site, server);
    let stock = stock_tries(&site, Machine::Server.v6());
    // The test harness hides what the print macros write.
    let _ = writeln!(
        io::stderr(),
        "8 queues, no pause, first SYNs accepted: {stock} of {TRIES} behind the stock client, {raw} of {TRIES} behind raw frames"
    );
    // Whatever the queues did to the order, a sequence with pauses opens.
    let (client, socket) = (address(server, 0), site.lab.raw_socket(Machine::Client).unwrap());
    knock_raw(&socket, client, server, &SSH_KNOCKS, Duration::from_millis(20));
    std::thread::sleep(Duration::from_millis(20));
    assert!(is_answered(&socket, client, server));
}

const SSH_KNOCKS: [Knock; 3] = [Knock::Tcp(7000), Knock::Tcp(8000), Knock::Tcp(9000)];

/// How many first SYNs behind the stock client are answered, each try from an address of its own.
fn stock_tries(site: &Site, server: IpAddr) -> usize {
    (0..TRIES)
        .filter(|&number| {
            speak_as(site, address(server, number), server);
            stock_knock(&site.lab, Machine::Client, &[], server, SSH_SEQUENCE);
            connect(&site.lab, Machine::Client, server, SSH).is_accepted()
        })
        .count()
}

/// How many first SYNs behind three knocks are answered, each try from an address of its own.
fn raw_tries(site: &Site, server: IpAddr) -> usize {
    let socket = site.lab.raw_socket(Machine::Client).unwrap();
    (0..TRIES)
        .filter(|&number| {
            let client = address(server, number);
            own(site, client);
            knock_raw(&socket, client, server, &SSH_KNOCKS, Duration::ZERO);
            is_answered(&socket, client, server)
        })
        .count()
}

/// Sends a SYN and waits for the SYN-ACK.
fn is_answered(socket: &RawSocket, client: IpAddr, server: IpAddr) -> bool {
    let port = 51_000;
    socket.send(&Frame::tcp(client, server).ports(port, SSH).build()).unwrap();
    let answer = |frame: &[u8]| {
        let (addresses, header) = if client.is_ipv4() { (26..34, 34) } else { (22..54, 54) };
        let expected = match (server, client) {
            (IpAddr::V4(server), IpAddr::V4(client)) => [server.octets(), client.octets()].concat(),
            (IpAddr::V6(server), IpAddr::V6(client)) => [server.octets(), client.octets()].concat(),
            _ => unreachable!("one family"),
        };
        let ports = [SSH.to_be_bytes(), port.to_be_bytes()].concat();
        frame.get(addresses) == Some(&expected)
            && frame.get(header..header + 4) == Some(&ports)
            && frame[header + 13] == SYN | ACK
    };
    // Less than the second after which the server sends its answer again.
    socket.receive(Duration::from_millis(500), answer).unwrap().is_some()
}

fn address(server: IpAddr, number: u16) -> IpAddr {
    match server {
        IpAddr::V4(_) => Ipv4Addr::new(10, 77, 0, 100 + number as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, number).into(),
    }
}

/// Gives the client one more address, and returns once the server reaches it: the kernel takes its time with that, and
/// with the search for a neighbour.
fn own(site: &Site, address: IpAddr) {
    let (prefix, options) = if address.is_ipv4() { (24, &[][..]) } else { (64, &["nodad"][..]) };
    let (address, prefixed) = (address.to_string(), format!("{address}/{prefix}"));
    site.run(
        Machine::Client,
        &[&["ip", "address", "replace", &prefixed, "dev", INTERFACE], options].concat(),
    );
    eventually("the server reaches the address", || {
        let ping = ["ping", "-n", "-c", "1", "-W", "1", &address];
        site.lab.run_in(Machine::Server, &ping).unwrap().status.success()
    });
}

/// Lets whatever the client sends to the server come from an address.
fn speak_as(site: &Site, address: IpAddr, server: IpAddr) {
    own(site, address);
    let (server, address) = (server.to_string(), address.to_string());
    let words = ["ip", "route", "replace", &server, "dev", INTERFACE, "src", &address];
    site.run(Machine::Client, &words);
}
