//! Connections that were there before the filter.

use std::net::IpAddr;

use knock_ctl::sockets::{self, Connection, SocketsError};
use knock_tests::lab::{Machine, privileged};
use knock_tests::packet::Frame;

use crate::site::*;

#[test]
fn connections_from_before_live_through_attach() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let service = Service::start(lab, SSH);
    let servers = [Machine::Server.v4(), Machine::Server.v6()];
    let open = || servers.map(|server| connect(lab, Machine::Stranger, server, SSH).stream());
    let (mut busy, mut idle) = (open(), open());
    eventually("all are accepted", || service.accepted() == 4);
    let mut controller = site.start(&[]);
    while !controller.says("watching;", std::time::Duration::ZERO) {
        for stream in &mut busy {
            assert!(carries_data(stream, limit()));
        }
    }
    for stream in busy.iter_mut().chain(&mut idle) {
        assert!(carries_data(stream, limit()));
    }
    assert_eq!(controller.count("connections that were there before go on"), 1);
    for server in servers {
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    }

    // Neither does another controller cut them, nor none.
    controller.kill();
    for stream in busy.iter_mut().chain(&mut idle) {
        assert!(carries_data(stream, limit()));
    }
    let _controller = site.attach(&[]);
    for stream in busy.iter_mut().chain(&mut idle) {
        assert!(carries_data(stream, limit()));
    }
}

#[test]
fn a_syn_that_nobody_has_acknowledged_makes_no_connection() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let (nobody, server) = (IpAddr::from([10, 77, 0, 99]), Machine::Server.v4());
    let syn = Frame::tcp(nobody, server).ports(40_000, SSH).build();
    lab.raw_socket(Machine::Stranger).unwrap().send(&syn).unwrap();
    let connections = |list: fn() -> Result<Vec<Connection>, SocketsError>| {
        let from_nobody = |connection: &Connection| connection.remote.0.to_ip() == nobody;
        lab.enter(Machine::Server, list).unwrap().unwrap().into_iter().filter(from_nobody).count()
    };
    eventually("the server has answered", || connections(sockets::half_open) == 1);
    assert_eq!(connections(sockets::established), 0);
    let _controller = site.attach(&[]);
    let why = site.run(Machine::Server, &[text(&program()), "why", "10.77.0.99"]);
    assert!(why.contains("0 established, 1 half-open, 0 closing"), "{why}");
}

#[test]
fn what_the_server_begins_itself_is_not_disturbed() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _controller = site.attach(&[]);
    let at = std::net::SocketAddr::new(Machine::Client.v4(), 0);
    let listener = lab.enter(Machine::Client, || std::net::TcpListener::bind(at)).unwrap().unwrap();
    let to = listener.local_addr().unwrap();
    let mut stream = lab.enter(Machine::Server, || std::net::TcpStream::connect(to)).unwrap().unwrap();
    let mut peer = listener.accept().unwrap().0;
    std::io::Write::write_all(&mut peer, b"ping").unwrap();
    let mut answer = [0; 4];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(answer, *b"ping");
}
