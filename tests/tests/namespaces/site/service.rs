//! A service of the server that sends back what it is sent.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use knock_lab::Namespace;
use knock_tests::lab::{Lab, Machine};

/// Listens on a port over both families until the test's process ends.
pub struct Service {
    accepted: Arc<AtomicUsize>,
}

impl Service {
    pub fn start(lab: &Lab, port: u16) -> Self {
        Self::start_on(lab.namespace(Machine::Server), port)
    }

    /// On another machine than the server.
    pub fn start_on(machine: &Namespace, port: u16) -> Self {
        let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let listener = machine.enter(|| TcpListener::bind(at)).unwrap().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::SeqCst);
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

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
