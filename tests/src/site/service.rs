//! Services that send back what they are sent.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::lab::{Lab, Machine};
use knock_lab::Namespace;

use super::limit;

/// Listens on a port over both families until the test's process ends.
pub struct Service {
    accepted: Arc<AtomicUsize>,
}

impl Service {
    /// On the server.
    pub fn start(lab: &Lab, port: u16) -> Self {
        Self::on(lab, Machine::Server, port)
    }

    pub fn on(lab: &Lab, machine: Machine, port: u16) -> Self {
        Self::start_on(lab.namespace(machine), port)
    }

    /// On a machine that need not be one of the lab's.
    pub fn start_on(machine: &Namespace, port: u16) -> Self {
        Self::watched(machine, port, |_| {})
    }

    /// As [`Service::start_on`]; `watch` is told who comes.
    pub fn watched(machine: &Namespace, port: u16, watch: impl Fn(IpAddr) + Send + 'static) -> Self {
        let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let listener = machine.enter(|| TcpListener::bind(at)).unwrap().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::SeqCst);
                if let Ok(peer) = stream.peer_addr() {
                    watch(peer.ip().to_canonical());
                }
                thread::spawn(move || echo(stream));
            }
        });
        Self { accepted }
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Sends every datagram back, from where it arrived, until the test's process ends.
pub fn echo_datagrams(lab: &Lab, machine: Machine, address: IpAddr, port: u16) {
    let socket = udp_socket(lab, machine, address, port);
    socket.set_read_timeout(None).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // Whoever sent it may have closed its socket meanwhile.
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
}

/// A socket that waits long, but not for ever.
pub fn udp_socket(lab: &Lab, machine: Machine, address: IpAddr, port: u16) -> UdpSocket {
    let at = SocketAddr::new(address, port);
    let socket = lab.enter(machine, || UdpSocket::bind(at)).unwrap().unwrap();
    socket.set_read_timeout(Some(limit())).unwrap();
    socket
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
