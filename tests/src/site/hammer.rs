//! A stranger who gives the closed port no rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::lab::{Lab, Machine};
use crate::packet::Frame;

use super::{SSH, Until};

/// Has the stranger send SYNs to the closed port, from ever new ports, for as long as something takes; returns how many.
pub fn hammer(lab: &Lab, meanwhile: impl FnOnce()) -> u64 {
    let (stop, socket) = (AtomicBool::new(false), lab.raw_socket(Machine::Stranger).unwrap());
    thread::scope(|scope| {
        let until = Until(&stop);
        let stranger = scope.spawn(|| {
            let mut sent = 0u64;
            while !stop.load(Ordering::SeqCst) {
                for (from, to) in [
                    (Machine::Stranger.v4(), Machine::Server.v4()),
                    (Machine::Stranger.v6(), Machine::Server.v6()),
                ] {
                    let port = 1024 + (sent % 60_000) as u16;
                    socket.send(&Frame::tcp(from, to).ports(port, SSH).build()).unwrap();
                    sent += 1;
                }
                thread::sleep(Duration::from_micros(50));
            }
            sent
        });
        meanwhile();
        drop(until);
        stranger.join().unwrap()
    })
}
