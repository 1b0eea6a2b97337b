//! Thousands of connections, of which the server has real ends, and the far ones are frames: no kernel answers for those.

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use etherparse::{PacketHeaders, TransportHeader};
use knock_tests::lab::{Machine, RawSocket};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, PSH};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::site::*;

const WORDS: &[u8; 4] = b"ping";
/// The sequence number of every SYN.
const FIRST: u32 = 1;

pub struct Conversations {
    listener: TcpListener,
    socket: RawSocket,
    all: Vec<Conversation>,
}

struct Conversation {
    near: TcpStream,
    from: IpAddr,
    port: u16,
    /// What the server has sent, and what it has been sent, as TCP counts it.
    acknowledgement: u32,
    sequence: u32,
}

impl Conversations {
    /// As many from each source to the server's SSH port. The sources are nobody's addresses.
    pub fn begin(site: &Site, sources: &[IpAddr], each: u16) -> Self {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), SSH);
        let listener = site.lab.enter(Machine::Server, || TcpListener::bind(at)).unwrap().unwrap();
        let socket = site.lab.raw_socket(Machine::Client).unwrap();
        let ports = (0..each).map(|number| 20_000 + number);
        let pairs = sources.iter().flat_map(|&from| ports.clone().map(move |port| (from, port)));
        let all = pairs.map(|(from, port)| Conversation::begin(&socket, &listener, from, port)).collect();
        listener.set_nonblocking(true).unwrap();
        Self { listener, socket, all }
    }

    /// Something is said in each, and heard.
    #[track_caller]
    pub fn talk(&mut self) {
        for conversation in &mut self.all {
            conversation.talk(&self.socket);
        }
    }

    /// Whether the server has accepted no other connection.
    pub fn nobody_else_came(&self) -> bool {
        self.listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl Conversation {
    fn begin(socket: &RawSocket, listener: &TcpListener, from: IpAddr, port: u16) -> Self {
        socket.send(&syn(from, port).build()).unwrap();
        let answer = socket.receive(limit(), |frame| answered(frame, port).is_some()).unwrap().unwrap();
        let acknowledgement = answered(&answer, port).unwrap().wrapping_add(1);
        let sequence = FIRST + 1;
        let agreed = syn(from, port).flags(ACK).sequence(sequence).acknowledgement(acknowledgement);
        socket.send(&agreed.build()).unwrap();
        let (near, with) = listener.accept().unwrap();
        assert_eq!((with.ip().to_canonical(), with.port()), (from, port));
        near.set_read_timeout(Some(limit())).unwrap();
        Self { near, from, port, acknowledgement, sequence }
    }

    #[track_caller]
    fn talk(&mut self, socket: &RawSocket) {
        let says = syn(self.from, self.port).flags(PSH | ACK).payload(WORDS);
        let says = says.sequence(self.sequence).acknowledgement(self.acknowledgement);
        socket.send(&says.build()).unwrap();
        self.sequence += WORDS.len() as u32;
        let mut heard = [0; WORDS.len()];
        self.near.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, WORDS);
    }
}

fn syn(from: IpAddr, port: u16) -> Frame {
    Frame::tcp(from, Machine::Server.of_family(from)).ports(port, SSH).sequence(FIRST)
}

/// The sequence number with which the server accepts the connection from this port.
fn answered(frame: &[u8], port: u16) -> Option<u32> {
    if frame.get(6..12).is_none_or(|source| source != Machine::Server.mac()) {
        return None;
    }
    match PacketHeaders::from_ethernet_slice(frame).ok()?.transport? {
        TransportHeader::Tcp(tcp) if tcp.syn && tcp.ack && tcp.destination_port == port => {
            Some(tcp.sequence_number)
        }
        _ => None,
    }
}
