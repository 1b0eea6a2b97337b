//! No flood of packets is a flood of the log.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use knock_tests::lab::{Flood, Lab, Machine, Volley, privileged};
use knock_tests::packet::Frame;

use crate::site::*;

/// As far as the machine can send them beside all else.
const PACKETS_PER_SECOND: u32 = 1_000_000;
const VOLLEY: u32 = 50_000;
const SOURCES: u8 = 20;
const LEAST: Duration = Duration::from_secs(5);
/// What the controller says of itself, at most.
const OF_ITSELF: usize = 20;

/// Floods a door's machine with what `forge` makes of each source. Meanwhile `during` happens.
fn flooded(config: &str, forge: fn(IpAddr, IpAddr) -> Vec<Frame>, during: impl FnOnce(&Site)) -> String {
    let site = Site::over(Lab::alone().unwrap(), "");
    let path = site.file("knock.log");
    site.configure(&format!("[log]\nstages = true\ndrops = true\nfile = {path:?}\n{config}"));
    let begun = Instant::now();
    let mut controller = site.attach(&["--mode", "native"]);
    let server = Machine::Server.v4();
    let volleys = (0..SOURCES).flat_map(|number| {
        let from = IpAddr::V4(Ipv4Addr::new(10, 77, 1, number));
        forge(from, server).into_iter().map(move |frame| Volley { from, frame, count: VOLLEY })
    });
    let flood = Flood::start(&site.lab, volleys.collect(), PACKETS_PER_SECOND).unwrap();
    let seen = || site.status()["counters"]["drop"].as_u64().unwrap();
    eventually("the flood has begun", || seen() > 100_000);
    during(&site);
    eventually("the flood was long and large enough", || begun.elapsed() > LEAST && seen() > 1_000_000);
    flood.end().unwrap();
    controller.expect("lines about sources were left out of the log");
    let mut log = String::new();
    eventually("the file says so too", || {
        log = fs::read_to_string(&path).unwrap();
        log.contains("lines about sources were left out of the log")
    });
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let lines = log.lines().count();
    assert!(lines <= 50 * (seconds + 1) + OF_ITSELF, "{lines} lines in {seconds} s");
    let left_out = log.lines().filter(|line| line.contains("were left out of the log")).count();
    assert!((1..=1 + seconds / 60).contains(&left_out), "{left_out} times in {seconds} s");
    assert_eq!(controller.terminate().code(), Some(0));
    log
}

#[test]
fn steps_and_drops_leave_room_for_who_comes_in() {
    if !privileged() {
        return;
    }
    let forge = |from, server| [7000, SSH].map(|port| Frame::tcp(from, server).ports(0, port)).into();
    let log = flooded(&format!("[filter]\npolicy = \"drop\"\n{SSH_DOOR}"), forge, |site| {
        let server = Machine::Server.v4();
        stock_knock(&site.lab, Machine::Client, &["-d", "20"], server, SSH_SEQUENCE);
        eventually("the client is in", || !site.grants().is_empty());
    });
    let opened = format!("] {}: ssh: OPEN SESAME", Machine::Client.v4());
    // How they share the room is left to chance.
    for what in [": ssh: Stage 1", ": dropped: ", &opened] {
        assert!(log.contains(what), "{what}");
    }
}

/// Who knows a sequence can complete it in anybody's name.
#[test]
fn completions() {
    if !privileged() {
        return;
    }
    let forge = |from, server| vec![Frame::udp(from, server).ports(0, 7000).payload(&[0; 8])];
    let door = "[filter]\npolicy = \"drop\"\n[doors.gate]\nsequence = [\"7000/udp\"]\nstart_command = [\"/bin/true\"]\n";
    let log = flooded(door, forge, |_| {});
    assert!(log.contains(": gate: OPEN SESAME"), "{log}");
}
