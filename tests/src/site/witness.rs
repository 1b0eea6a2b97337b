//! Who got through to a protected port.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::lab::{Lab, Machine};
use etherparse::{PacketHeaders, TransportHeader};

use super::{Knock, eventually};

/// Sees every datagram that a UDP port of the server is given, and whatever one of its TCP ports answers.
pub struct Witness {
    seen: Arc<Mutex<BTreeSet<Knock>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

const A_WHILE: Duration = Duration::from_millis(50);

impl Witness {
    /// Listens on the UDP port; on the TCP port somebody else must.
    pub fn start(lab: &Lab, tcp: u16, udp: u16) -> Self {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let wire = lab.raw_socket(Machine::Server).unwrap();
        let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), udp);
        let socket = lab.enter(Machine::Server, || UdpSocket::bind(at)).unwrap().unwrap();
        socket.set_read_timeout(Some(A_WHILE)).unwrap();
        let until_stopped = |mut look: Box<dyn FnMut() -> Option<Knock> + Send>| {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    seen.lock().unwrap().extend(look());
                }
            })
        };
        let answers = until_stopped(Box::new(move || {
            let frame = wire.receive(A_WHILE, |frame| answered(frame, tcp).is_some()).unwrap()?;
            answered(&frame, tcp).map(Knock::Tcp)
        }));
        let datagrams = until_stopped(Box::new(move || {
            let (_, from) = socket.recv_from(&mut [0; 64]).ok()?;
            Some(Knock::Udp(from.port()))
        }));
        Self { seen, stop, threads: vec![answers, datagrams] }
    }

    /// The source ports of all who got through so far.
    pub fn seen(&self) -> BTreeSet<Knock> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until the one with this source port got through.
    #[track_caller]
    pub fn wait_for(&self, sender: Knock) {
        eventually("it gets through", || self.seen().contains(&sender));
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // It fails the test by itself when it panics.
            let _ = thread.join();
        }
    }
}

/// The port that the server's TCP port answers in this frame.
fn answered(frame: &[u8], port: u16) -> Option<u16> {
    if frame.get(6..12).is_none_or(|source| source != Machine::Server.mac()) {
        return None;
    }
    match PacketHeaders::from_ethernet_slice(frame).ok()?.transport? {
        TransportHeader::Tcp(tcp) if tcp.source_port == port => Some(tcp.destination_port),
        _ => None,
    }
}
