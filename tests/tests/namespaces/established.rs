//! Connections that were there before the filter.

use knock_tests::lab::{Machine, privileged};

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
