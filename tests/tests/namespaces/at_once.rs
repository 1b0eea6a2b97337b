//! The connection right behind the last knock is accepted.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use knock_tests::lab::{INTERFACE, Lab, Machine, RawSocket};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, SYN};

use crate::site::*;

const TRIES: u16 = 100;

/// Less than the second after which the server sends its answer again.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

const SERVERS: [IpAddr; 2] = [Machine::Server.v4(), Machine::Server.v6()];

in_each_mode!(
    behind_the_stock_client_on_one_queue,
    behind_the_stock_client_on_eight_queues_with_a_pause,
    behind_three_raw_knocks_without_any_pause,
    what_queues_did_to_the_order_does_no_lasting_harm,
);

fn behind_the_stock_client_on_one_queue(mode: Mode) {
    behind_the_stock_client(mode, Lab::new().unwrap(), &[]);
}

fn behind_the_stock_client_on_eight_queues_with_a_pause(mode: Mode) {
    behind_the_stock_client(mode, eight_queues(), &["-d", "20"]);
}

/// Each try comes from an address of its own, which has never knocked.
fn behind_the_stock_client(mode: Mode, lab: Lab, options: &[&str]) {
    let site = Site::over(lab, SSH_DOOR);
    let lab = &site.lab;
    let service = Service::start(lab, SSH);
    let mut controller = site.attach_in(mode);
    keep_order_on_the_wire();
    for server in SERVERS {
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        for number in 0..TRIES {
            let address = address(server, number);
            speak_as(&site, address, server);
            stock_knock(lab, Machine::Client, options, server, SSH_SEQUENCE);
            let answer = connect(lab, Machine::Client, server, SSH);
            assert!(answer.is_accepted(), "try {number}: {answer:?}");
            assert_eq!(answer.stream().local_addr().unwrap().ip(), address);
        }
        controller.expect(&format!("{}: ssh: OPEN SESAME", address(server, TRIES - 1)));
    }
    let all = SERVERS.len() * usize::from(TRIES);
    assert_eq!(controller.count("OPEN SESAME"), all);
    eventually("all are accepted", || service.accepted() == all);
}

/// The fastest client there can be: four frames with nothing between them. One queue keeps them in order.
fn behind_three_raw_knocks_without_any_pause(mode: Mode) {
    let site = Site::new(SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    let _controller = site.attach_in(mode);
    keep_order_on_the_wire();
    for server in SERVERS {
        assert_eq!(raw_tries(&site, server, FIRST_ANSWER), usize::from(TRIES));
    }
}

/// Across queues the frame behind the last knock may be the first to be looked at: how often is told, not promised.
fn what_queues_did_to_the_order_does_no_lasting_harm(mode: Mode) {
    let site = Site::over(eight_queues(), SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    let _controller = site.attach_in(mode);
    keep_order_on_the_wire();
    let [server, other] = SERVERS;
    // Most of those that are dropped are waited for in vain.
    let raw = raw_tries(&site, server, FIRST_ANSWER / 4);
    let stock = stock_tries(&site, other);
    // The test harness hides what the print macros write.
    let _ = writeln!(
        io::stderr(),
        "8 queues, {} mode, no pause, first SYNs accepted: {stock} of {TRIES} behind the stock client, {raw} of \
         {TRIES} behind raw frames",
        mode.name()
    );
    // Whatever the queues did to the order, a sequence with pauses opens.
    let (client, socket) = (address(server, 0), site.lab.raw_socket(Machine::Client).unwrap());
    knock_raw(&socket, client, server, &SSH_KNOCKS, Duration::from_millis(20));
    std::thread::sleep(Duration::from_millis(20));
    assert!(is_answered(&socket, client, server, FIRST_ANSWER));
}

fn eight_queues() -> Lab {
    let lab = Lab::with_queues(8).unwrap();
    lab.spread_flows_over_cpus().unwrap();
    lab
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
fn raw_tries(site: &Site, server: IpAddr, patience: Duration) -> usize {
    let socket = site.lab.raw_socket(Machine::Client).unwrap();
    (0..TRIES)
        .filter(|&number| {
            let client = address(server, number);
            own(site, client);
            knock_raw(&socket, client, server, &SSH_KNOCKS, Duration::ZERO);
            is_answered(&socket, client, server, patience)
        })
        .count()
}

/// Sends a SYN and waits for the SYN-ACK.
fn is_answered(socket: &RawSocket, client: IpAddr, server: IpAddr, patience: Duration) -> bool {
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
    socket.receive(patience, answer).unwrap().is_some()
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
