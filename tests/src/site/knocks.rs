//! Knocks, by the stock client and frame by frame.

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::{Lab, Machine, RawSocket};
use crate::packet::Frame;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// One knock of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knock {
    Tcp(u16),
    Udp(u16),
}

impl Knock {
    pub fn frame(self, from: IpAddr, to: IpAddr, source_port: u16) -> Frame {
        match self {
            Self::Tcp(port) => Frame::tcp(from, to).ports(source_port, port),
            Self::Udp(port) => Frame::udp(from, to).ports(source_port, port).payload(b"x"),
        }
    }
}

/// Runs Debian's `knock` to its end.
pub fn stock_knock(lab: &Lab, from: Machine, options: &[&str], to: IpAddr, sequence: &[&str]) {
    let to = to.to_string();
    let words = [&["knock"], options, &[to.as_str()], sequence].concat();
    let output = lab.run_in(from, &words).unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// Sends a sequence frame by frame, each from a source port of its own, `pause` apart.
pub fn knock_raw(socket: &RawSocket, from: IpAddr, to: IpAddr, sequence: &[Knock], pause: Duration) {
    for (number, knock) in (0..).zip(sequence) {
        if number > 0 {
            std::thread::sleep(pause);
        }
        socket.send(&knock.frame(from, to, 50_000 + number).build()).unwrap();
    }
}

/// The lab's wire keeps the order of what one CPU sends: whatever this thread starts from now on stays on one.
pub fn keep_order_on_the_wire() {
    let mut one = CpuSet::new();
    one.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
}
