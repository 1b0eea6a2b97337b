//! No way to dress a packet up leads around the filter, opens a door, or stops those who knock honestly.

mod shape;
mod shapes;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use knock_tests::lab::{Lab, Machine, RawSocket, privileged};

use crate::site::*;
use shape::{Aim, Shape};

const UDP: u16 = 4500;
/// Of the shape with number 0.
const FIRST_SOURCE_PORT: u16 = 20_000;
/// Of what is sent last, openly, to know that all before has been judged.
const LAST_SOURCE_PORT: u16 = 1;

const DOORS: &str = "[doors.tcp]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n\
                     [doors.udp]\nsequence = [\"7000/udp\", \"8000/udp\", \"9000/udp\"]\nopens = [\"4500/udp\"]\n";

#[test]
fn none_reaches_a_protected_port_natively_over_ipv4() {
    none_reaches_a_protected_port("native", Machine::Server.v4());
}

#[test]
fn none_reaches_a_protected_port_natively_over_ipv6() {
    none_reaches_a_protected_port("native", Machine::Server.v6());
}

#[test]
fn none_reaches_a_protected_port_in_generic_mode_over_ipv4() {
    none_reaches_a_protected_port("generic", Machine::Server.v4());
}

#[test]
fn none_reaches_a_protected_port_in_generic_mode_over_ipv6() {
    none_reaches_a_protected_port("generic", Machine::Server.v6());
}

fn none_reaches_a_protected_port(mode: &str, server: IpAddr) {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("[filter]\ntrusted = [\"10.77.0.2\", \"fd00:77::2\"]\n{DOORS}"));
    let lab = &site.lab;
    lab.keep_tags_in_frames().unwrap();
    let source_routes = "net.ipv4.conf.all.accept_source_route=1";
    site.run(
        Machine::Server,
        &["sysctl", "-q", "-w", source_routes, "net.ipv4.conf.eth0.accept_source_route=1"],
    );
    keep_order_on_the_wire();
    let _service = Service::start(lab, SSH);
    let shapes = shapes::all();

    let unfiltered = got_through(lab, &shapes, server);
    // Otherwise this test would not show what it is for.
    let harmless: Vec<_> = [Knock::Tcp(SSH), Knock::Udp(UDP)]
        .into_iter()
        .flat_map(|at| (0..).zip(&shapes).map(move |(number, shape)| (aim(number, server, at), shape)))
        .filter(|(aim, shape)| shape.fate.is_delivered && shape.dress(*aim).is_some())
        .filter(|(aim, _)| !unfiltered.contains(&aim.sender()))
        .map(|(aim, shape)| (aim.at, &shape.name))
        .collect();
    assert!(harmless.is_empty(), "not even without a filter: {harmless:?}");

    let _controller = site.attach(&["--mode", mode]);
    let before = TcpCounters::of(lab, Machine::Server);
    let filtered = got_through(lab, &shapes, server);
    let names = filtered
        .iter()
        .map(|&(Knock::Tcp(port) | Knock::Udp(port))| &shapes[usize::from(port - FIRST_SOURCE_PORT)].name);
    assert_eq!(names.collect::<Vec<_>>(), <[&str; 0]>::default());
    // The last one, openly sent, the reset with which its sender's kernel disowns it, and the packet to a harmless port
    // that fragments with two beginnings make.
    let segments = TcpCounters::of(lab, Machine::Server).segments_in - before.segments_in;
    assert!(segments <= 3, "{segments} segments reached the server's TCP");
}

/// Who of all the shapes, sent to both services, got through.
fn got_through(lab: &Lab, shapes: &[Shape], server: IpAddr) -> BTreeSet<Knock> {
    let witness = Witness::start(lab, SSH, UDP);
    let [stranger, friend] = [Machine::Stranger, Machine::Client].map(|from| lab.raw_socket(from).unwrap());
    for at in [Knock::Tcp(SSH), Knock::Udp(UDP)] {
        for (number, shape) in shapes.iter().enumerate() {
            send(&stranger, shape.dress(aim(number, server, at)));
        }
        let from = Machine::Client.of_family(server);
        let last = Aim { from, source_port: LAST_SOURCE_PORT, ..aim(0, server, at) };
        send(&friend, Some(vec![last.frame().build()]));
        witness.wait_for(last.sender());
    }
    let mut seen = witness.seen();
    seen.retain(|&(Knock::Tcp(port) | Knock::Udp(port))| port != LAST_SOURCE_PORT);
    seen
}

#[test]
fn only_true_knocks_open_natively_over_ipv4() {
    only_true_knocks_open("native", Machine::Server.v4());
}

#[test]
fn only_true_knocks_open_natively_over_ipv6() {
    only_true_knocks_open("native", Machine::Server.v6());
}

#[test]
fn only_true_knocks_open_in_generic_mode_over_ipv4() {
    only_true_knocks_open("generic", Machine::Server.v4());
}

#[test]
fn only_true_knocks_open_in_generic_mode_over_ipv6() {
    only_true_knocks_open("generic", Machine::Server.v6());
}

/// Each shape has an address of its own and knocks at both doors in it.
fn only_true_knocks_open(mode: &str, server: IpAddr) {
    if !privileged() {
        return;
    }
    let site = Site::new(DOORS);
    site.lab.keep_tags_in_frames().unwrap();
    keep_order_on_the_wire();
    let _controller = site.attach(&["--mode", mode]);
    let socket = site.lab.raw_socket(Machine::Stranger).unwrap();
    let shapes = shapes::all();
    let mut expected = BTreeSet::new();
    for (door, knock) in [("tcp", Knock::Tcp as fn(u16) -> Knock), ("udp", Knock::Udp)] {
        for port in [7000, 8000, 9000] {
            for (number, shape) in shapes.iter().enumerate() {
                let from = address(number, server);
                let dressed = shape.dress(Aim { from, ..aim(number, server, knock(port)) });
                if dressed.is_some() && shape.fate.is_knock {
                    expected.insert((from.to_string(), door.to_owned()));
                }
                send(&socket, dressed);
            }
        }
    }
    let name = |(address, door): (String, String)| {
        let number = (0..shapes.len()).find(|&number| self::address(number, server).to_string() == address);
        (number.map(|number| shapes[number].name.clone()), door)
    };
    let opened: BTreeSet<_> = site.grants().into_iter().collect();
    let wrong: BTreeSet<_> = opened.symmetric_difference(&expected).cloned().map(name).collect();
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn none_stops_an_honest_knock_natively_over_ipv4() {
    none_stops_an_honest_knock("native", Machine::Server.v4());
}

#[test]
fn none_stops_an_honest_knock_natively_over_ipv6() {
    none_stops_an_honest_knock("native", Machine::Server.v6());
}

#[test]
fn none_stops_an_honest_knock_in_generic_mode_over_ipv4() {
    none_stops_an_honest_knock("generic", Machine::Server.v4());
}

#[test]
fn none_stops_an_honest_knock_in_generic_mode_over_ipv6() {
    none_stops_an_honest_knock("generic", Machine::Server.v6());
}

fn none_stops_an_honest_knock(mode: &str, server: IpAddr) {
    if !privileged() {
        return;
    }
    let site = Site::new(DOORS);
    let lab = &site.lab;
    lab.keep_tags_in_frames().unwrap();
    let service = Service::start(lab, SSH);
    let _controller = site.attach(&["--mode", mode]);
    let ports =
        [SSH, 7000, 8000, 9000].map(Knock::Tcp).into_iter().chain([UDP, 7000, 8000, 9000].map(Knock::Udp));
    let shapes = shapes::all();
    let frames: Vec<Vec<u8>> = ports
        .flat_map(|at| {
            (0..).zip(&shapes).filter_map(move |(number, shape)| shape.dress(aim(number, server, at)))
        })
        .flatten()
        .collect();
    let (stop, socket) = (AtomicBool::new(false), lab.raw_socket(Machine::Stranger).unwrap());
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.load(Ordering::SeqCst) {
                for frame in &frames {
                    socket.send(frame).unwrap();
                }
                rounds += 1;
            }
            rounds
        });
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        stock_knock(lab, Machine::Client, &["-d", "200"], server, SSH_SEQUENCE);
        let mut stream = connect_within(lab, Machine::Client, server, SSH, LIMIT).stream();
        assert!(carries_data(&mut stream, LIMIT));
        stop.store(true, Ordering::SeqCst);
        assert!(flood.join().unwrap() > 1, "the flood went on meanwhile");
    });
    assert_eq!(service.accepted(), 1, "nobody else got through");
}

impl Aim {
    /// What a [`Witness`] knows it by.
    fn sender(&self) -> Knock {
        match self.at {
            Knock::Tcp(_) => Knock::Tcp(self.source_port),
            Knock::Udp(_) => Knock::Udp(self.source_port),
        }
    }
}

/// From the stranger; the source port tells the shape's number.
fn aim(number: usize, server: IpAddr, at: Knock) -> Aim {
    let from = Machine::Stranger.of_family(server);
    Aim { from, to: server, source_port: FIRST_SOURCE_PORT + number as u16, at }
}

fn address(number: usize, server: IpAddr) -> IpAddr {
    let number = u8::try_from(20 + number).unwrap();
    match server {
        IpAddr::V4(_) => Ipv4Addr::new(10, 77, 0, number).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, number.into()).into(),
    }
}

fn send(socket: &RawSocket, frames: Option<Vec<Vec<u8>>>) {
    for frame in frames.into_iter().flatten() {
        socket.send(&frame).unwrap();
    }
}
