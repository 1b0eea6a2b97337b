//! Waits until a port answers.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Whether a TCP connection to the port succeeds at any of the addresses, which are tried side by side.
pub(super) fn any_answers(addresses: &[SocketAddr], port: WaitPort, patience: Patience) -> bool {
    let deadline = Instant::now() + patience.total;
    let answered = AtomicBool::new(false);
    thread::sleep(patience.first);
    thread::scope(|scope| {
        for &(mut address) in addresses {
            address.set_port(port.number());
            let answered = &answered;
            scope.spawn(move || try_until_answered(address, patience, deadline, answered));
        }
    });
    answered.load(Ordering::Relaxed)
}

fn try_until_answered(address: SocketAddr, patience: Patience, deadline: Instant, answered: &AtomicBool) {
    while !answered.load(Ordering::Relaxed) {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        if left.is_zero() {
            return;
        }
        if TcpStream::connect_timeout(&address, patience.each.min(left)).is_ok() {
            answered.store(true, Ordering::Relaxed);
            return;
        }
        thread::sleep(patience.every.saturating_sub(started.elapsed()));
    }
}
