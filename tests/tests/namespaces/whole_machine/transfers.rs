//! Transfers that are under way when the filter is switched on.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use knock_tests::lab::Machine;

use super::{FAMILIES, closed_site};
use crate::site::*;

in_each_mode!(none_is_lost);

const PORT: u16 = 8080;

/// Both ways over connections that either side has begun.
fn none_is_lost(mode: Mode) {
    let site = closed_site("", "");
    let lab = &site.lab;
    let _services = [Service::start(lab, PORT), Service::on(lab, Machine::Client, PORT)];
    let open = |from, to: IpAddr| connect(lab, from, to, PORT).stream();
    let streams: Vec<TcpStream> = FAMILIES
        .into_iter()
        .flat_map(|address| {
            [
                open(Machine::Client, address(Machine::Server)),
                open(Machine::Server, address(Machine::Client)),
                // Idle until the filter is on.
                open(Machine::Client, address(Machine::Server)),
                open(Machine::Server, address(Machine::Client)),
            ]
        })
        .collect();
    let (stop, echoed) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 8]);
    let is_idle = |number: usize| number % 4 >= 2;
    let progress = || [0, 1, 4, 5].map(|number| echoed[number].load(Ordering::SeqCst));
    thread::scope(|scope| {
        let meanwhile = Until(&stop);
        for (number, mut stream) in streams.iter().enumerate() {
            if !is_idle(number) {
                let (stop, echoed) = (&stop, &echoed[number]);
                scope.spawn(move || pump(&mut stream, stop, echoed));
            }
        }
        let all_go_on = |what: &str| {
            let before = progress();
            eventually(what, || progress().iter().zip(before).all(|(now, before)| *now > before + 1_000_000));
        };
        all_go_on("transfers begin");
        let controller = site.attach_in(mode);
        all_go_on("transfers go on behind the filter");
        controller.kill();
        all_go_on("transfers go on without a controller");
        drop(meanwhile);
    });
    for (_, mut stream) in streams.iter().enumerate().filter(|(number, _)| is_idle(*number)) {
        stream.write_all(b"ping").unwrap();
        let mut answer = [0; 4];
        stream.set_read_timeout(Some(limit())).unwrap();
        stream.read_exact(&mut answer).unwrap();
    }
    for address in FAMILIES {
        assert!(connect(lab, Machine::Client, address(Machine::Server), PORT).is_silence());
    }
}

/// Sends until told to stop, and counts what comes back.
fn pump(stream: &mut &TcpStream, stop: &AtomicBool, echoed: &AtomicU64) {
    let sent = [7; 32_768];
    let mut received = [0; 32_768];
    stream.set_read_timeout(Some(limit())).unwrap();
    while !stop.load(Ordering::SeqCst) {
        stream.write_all(&sent).unwrap();
        stream.read_exact(&mut received).unwrap();
        assert!(sent == received);
        echoed.fetch_add(sent.len() as u64, Ordering::SeqCst);
    }
}
