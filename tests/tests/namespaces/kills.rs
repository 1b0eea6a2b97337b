//! A controller that is killed at any instant: what was started is stopped, each once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use knock_tests::lab::{Machine, RawSocket, privileged};

use crate::site::*;

/// In one site; the environment's `KNOCK_KILLS` asks for more, in one after the other.
const KILLS: u32 = 50;
/// A controller lives for at most so many times what it takes to take over.
const LONGEST_LIFE: f64 = 3.0;
const SOURCES: u8 = 4;

/// One door with a grant, one without.
const SEQUENCES: [[Knock; 3]; 2] = [
    [Knock::Tcp(7000), Knock::Udp(8000), Knock::Tcp(9000)],
    [Knock::Tcp(7100), Knock::Udp(8100), Knock::Tcp(9100)],
];

#[test]
fn whatever_was_started_is_stopped_once() {
    if !privileged() {
        return;
    }
    let kills = std::env::var("KNOCK_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    for _ in 0..kills / KILLS {
        kill_controllers(KILLS);
    }
}

fn kill_controllers(kills: u32) {
    let site = Site::new("");
    let log = CommandLog::create(&site.file("log"));
    let commands = log.commands();
    site.configure(&format!(
        "[doors.granting]\nsequence = [7000, \"8000/udp\", 9000]\nopens = [\"22/tcp\"]\nopen_for = \"300ms\"\n{commands}\
         [doors.running]\nsequence = [7100, \"8100/udp\", 9100]\ncmd_timeout = \"200ms\"\n{commands}"
    ));
    site.attach(&[]).kill();
    let begun = Instant::now();
    let mut controller = site.attach(&[]);
    let longest_life = begun.elapsed().mul_f64(LONGEST_LIFE);
    let socket = site.lab.raw_socket(Machine::Client).unwrap();
    let over = AtomicBool::new(false);
    let last = thread::scope(|scope| {
        let meanwhile = Until(&over);
        scope.spawn(|| knock_until(&over, &socket));
        for _ in 0..kills {
            thread::sleep(longest_life.mul_f64(fastrand::f64()));
            controller.kill();
            controller = site.start(&[]);
        }
        drop(meanwhile);
        controller
    });
    last.kill();
    let _last = site.attach(&[]);
    eventually("every stop command has run", || log.is_over());
    assert_eq!(log.out_of_turn(), BTreeMap::new());
    let lines = log.lines();
    assert_eq!(lines.len(), 2 * 2 * usize::from(SOURCES), "each source has opened each door");
    let openings: usize = lines.values().map(|lines| lines.len() / 2).sum();
    assert!(openings as u32 > kills, "{openings}");
}

fn knock_until(over: &AtomicBool, socket: &RawSocket) {
    let mut source_port = 1024;
    while !over.load(Ordering::SeqCst) {
        let sources = (0..SOURCES).flat_map(source);
        for (source, sequence) in sources.flat_map(|source| SEQUENCES.map(|sequence| (source, sequence))) {
            let server = Machine::Server.of_family(source);
            for knock in sequence {
                source_port = if source_port == u16::MAX { 1024 } else { source_port + 1 };
                socket.send(&knock.frame(source, server, source_port).build()).unwrap();
            }
            thread::sleep(Duration::from_millis(fastrand::u64(..40)));
        }
    }
}

fn source(number: u8) -> [IpAddr; 2] {
    [
        Ipv4Addr::new(10, 77, 0, 100 + number).into(),
        Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 2, number.into()).into(),
    ]
}
