//! Waits until a port answers.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::port::WaitPort;

/// How long is waited for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Before the first try: packets that follow each other closely may be handled in another order.
    pub first: Duration,
    /// From one try to the next.
    pub every: Duration,
    /// For one try. A dropped SYN is sent again by the kernel after a second only: a new try is faster.
    pub each: Duration,
    pub total: Duration,
}

impl Patience {
    pub(super) const DEFAULT: Self = Self {
        first: Duration::from_millis(5),
        every: Duration::from_millis(100),
        each: Duration::from_millis(500),
        total: Duration::from_secs(5),
    };
}

/// The first TCP connection to the port that succeeds at any of the addresses, which are tried side by side. It is the
/// only one, unless two succeed at the same moment: a grant may be good for one alone.
pub(super) fn first_answer(
    addresses: &[SocketAddr],
    port: WaitPort,
    patience: Patience,
) -> Option<TcpStream> {
    let deadline = Instant::now() + patience.total;
    let answered = Arc::new(AtomicBool::new(false));
    let (sender, answers) = mpsc::channel();
    thread::sleep(patience.first);
    for &(mut address) in addresses {
        address.set_port(port.number());
        let (sender, answered) = (sender.clone(), Arc::clone(&answered));
        thread::spawn(move || {
            if let Some(stream) = try_until_answered(address, patience, deadline, &answered) {
                // Nobody takes what comes second.
                let _ = sender.send(stream);
            }
        });
    }
    drop(sender);
    let stream = answers.recv().ok();
    answered.store(true, Ordering::Relaxed);
    stream
}

fn try_until_answered(
    address: SocketAddr,
    patience: Patience,
    deadline: Instant,
    answered: &AtomicBool,
) -> Option<TcpStream> {
    while !answered.load(Ordering::Relaxed) {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        if left.is_zero() {
            return None;
        }
        if let Ok(stream) = TcpStream::connect_timeout(&address, patience.each.min(left)) {
            return Some(stream);
        }
        thread::sleep(patience.every.saturating_sub(started.elapsed()));
    }
    None
}
