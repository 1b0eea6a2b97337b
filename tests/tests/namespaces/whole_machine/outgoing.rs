//! What the machine begins itself goes on, and what answers it comes in.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use knock_tests::lab::{Lab, Machine, privileged};

use super::{FAMILIES, closed_site, dropped};
use crate::site::*;

in_each_mode!(connections_datagrams_and_pings, pages, a_long_exchange_of_datagrams_over_one_socket);

const PORT: u16 = 8080;

fn connections_datagrams_and_pings(mode: Mode) {
    let site = closed_site("", "");
    let lab = &site.lab;
    let _services = [Service::on(lab, Machine::Client, PORT), Service::start(lab, PORT)];
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        echo_datagrams(lab, Machine::Client, client, PORT);
        let mut stream = connect(lab, Machine::Server, client, PORT).stream();
        assert!(carries_data(&mut stream, limit()));
        let socket = udp_socket(lab, Machine::Server, server, 0);
        socket.connect((client, PORT)).unwrap();
        assert!(answers(&socket));
        site.run(Machine::Server, &["ping", "-n", "-c", "3", "-i", "0.01", "-W", "5", &client.to_string()]);
    }
    assert_eq!(dropped(&site), 0);
    // The server's own ports are none of its flows.
    for address in FAMILIES {
        assert!(connect(lab, Machine::Client, address(Machine::Server), PORT).is_silence());
    }
    assert_eq!(dropped(&site), 2);
}

/// Fetched by the machine from elsewhere, and by others from its public port.
fn pages(mode: Mode) {
    let site = closed_site("public = [\"80/tcp\"]", "");
    let lab = &site.lab;
    for (machine, port) in [(Machine::Client, PORT), (Machine::Server, 80), (Machine::Server, PORT)] {
        serve_page(lab, machine, port);
    }
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let fetch = |by: Machine, from: Machine, port: u16| {
            let url = format!("http://{}/", SocketAddr::new(address(from), port));
            lab.run_in(by, &["curl", "--silent", "--max-time", "3", &url]).unwrap().stdout
        };
        assert_eq!(fetch(Machine::Server, Machine::Client, PORT).len(), PAGE);
        assert_eq!(fetch(Machine::Stranger, Machine::Server, 80).len(), PAGE);
        assert_eq!(fetch(Machine::Stranger, Machine::Server, PORT).len(), 0);
    }
}

/// Bytes.
const PAGE: usize = 1 << 20;

fn serve_page(lab: &Lab, machine: Machine, port: u16) {
    let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    let listener = lab.enter(machine, || TcpListener::bind(at)).unwrap().unwrap();
    let page =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {PAGE}\r\nConnection: close\r\n\r\n{}", "x".repeat(PAGE));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            // One read holds all of such a request; who does not listen to the answer is gone.
            let _ = stream.read(&mut request).and_then(|_| stream.write_all(page.as_bytes()));
        }
    });
}

/// Whether a datagram to a connected peer comes back.
fn answers(socket: &UdpSocket) -> bool {
    let mut answer = [0; 16];
    socket.send(b"ping").unwrap();
    socket.recv(&mut answer).is_ok_and(|length| answer[..length] == *b"ping")
}

#[test]
fn names_are_resolved() {
    if !privileged() {
        return;
    }
    let site = closed_site("", "");
    let lab = &site.lab;
    let configuration = site.file("resolv.conf");
    let _controller = site.attach(&[]);
    for address in FAMILIES {
        let resolver = udp_socket(lab, Machine::Client, address(Machine::Client), 53);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = resolver.recv_from(&mut query) {
                resolver.send_to(&resolved(&query[..length]), from).unwrap();
            }
        });
        fs::write(&configuration, format!("nameserver {}\n", address(Machine::Client))).unwrap();
        let script =
            format!("mount --bind {} /etc/resolv.conf && getent ahostsv4 www.test.", text(&configuration));
        let found = site.run(Machine::Server, &["unshare", "--mount", "sh", "-ec", &script]);
        assert!(found.starts_with("192.0.2.80 "), "{found}");
    }
    assert_eq!(dropped(&site), 0);
}

/// The answer to a query of one question (RFC 1035, 4): an address for whatever name.
fn resolved(query: &[u8]) -> Vec<u8> {
    let question = query[12..].iter().position(|&byte| byte == 0).unwrap() + 12 + 5;
    let mut answer = query[..question].to_vec();
    // An answer, recursion available, no error; one question, one record.
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    // The name of the question, type A, class IN, 60 seconds, 4 bytes.
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 80]);
    answer
}

/// Both sides send when they like, for longer than a flow lives by itself, as QUIC does.
fn a_long_exchange_of_datagrams_over_one_socket(mode: Mode) {
    let life = Duration::from_secs(2);
    let site = closed_site("", "[timeouts]\nudp = \"2s\"\n");
    let lab = &site.lab;
    let _controller = site.attach_in(mode);
    let pairs = FAMILIES.map(|address| {
        let ours = udp_socket(lab, Machine::Server, address(Machine::Server), 0);
        let theirs = udp_socket(lab, Machine::Client, address(Machine::Client), 443);
        ours.connect(theirs.local_addr().unwrap()).unwrap();
        ours.send(b"hello").unwrap();
        let (_, from) = theirs.recv_from(&mut [0; 16]).unwrap();
        theirs.connect(from).unwrap();
        (ours, theirs)
    });
    let begun = std::time::Instant::now();
    let mut exchanged = 0u32;
    while begun.elapsed() < 2 * life {
        for (ours, theirs) in &pairs {
            for (sender, receiver) in [(theirs, ours), (ours, theirs), (theirs, ours)] {
                let number = exchanged.to_be_bytes();
                sender.send(&number).unwrap();
                let mut received = [0; 4];
                receiver.recv_exact(&mut received);
                assert_eq!(received, number);
            }
        }
        exchanged += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(dropped(&site), 0);
    // What the other side sends does not keep the flow.
    for (ours, theirs) in &pairs {
        ours.set_nonblocking(true).unwrap();
        eventually("the flow has ended", || {
            let before = dropped(&site);
            theirs.send(b"still there?").unwrap();
            eventually("it is judged", || dropped(&site) > before || ours.recv(&mut [0; 16]).is_ok());
            dropped(&site) > before
        });
        ours.send(b"yes").unwrap();
        theirs.recv(&mut [0; 16]).unwrap();
        theirs.send(b"good").unwrap();
        eventually("the flow is there again", || ours.recv(&mut [0; 16]).is_ok());
    }
}

/// A whole datagram into a buffer of its length.
trait ReceiveExact {
    fn recv_exact(&self, buffer: &mut [u8]);
}

impl ReceiveExact for UdpSocket {
    fn recv_exact(&self, buffer: &mut [u8]) {
        assert_eq!(self.recv(buffer).unwrap(), buffer.len());
    }
}

#[test]
fn ten_times_as_many_as_there_is_room_for_while_no_controller_runs() {
    if !privileged() {
        return;
    }
    let room = 256;
    let site = closed_site("", &format!("[limits]\nflows = {room}\n"));
    let lab = &site.lab;
    let _service = Service::on(lab, Machine::Client, PORT);
    site.attach(&[]).kill();
    for address in FAMILIES {
        let client = address(Machine::Client);
        echo_datagrams(lab, Machine::Client, client, PORT);
        let to = SocketAddr::new(client, PORT);
        // In one thread of the server's: to enter it anew each time takes longer than to connect.
        lab.enter(Machine::Server, || {
            for number in 0..10 * room {
                let mut stream = TcpStream::connect_timeout(&to, limit())
                    .unwrap_or_else(|error| panic!("connection {number}: {error}"));
                let mut answer = [0; 4];
                stream.write_all(b"ping").unwrap();
                stream.read_exact(&mut answer).unwrap();
                // Where both sides have closed, nothing comes any more that the forgotten flow would let in.
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut answer).unwrap(), 0);
                let socket = UdpSocket::bind((address(Machine::Server), 0)).unwrap();
                socket.set_read_timeout(Some(limit())).unwrap();
                socket.connect(to).unwrap();
                assert!(answers(&socket), "datagram {number}");
            }
        })
        .unwrap();
    }
    assert_eq!(dropped(&site), 0);
}
