//! No way to dress a packet up leads around the filter, opens a door, or stops those who knock honestly.

mod shape;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use knock_tests::lab::{Lab, Machine, RawSocket};

use crate::site::*;
use shape::Shape;

in_each_mode!(
    none_reaches_a_protected_port,
    none_reaches_a_closed_machine,
    only_true_knocks_open_a_port,
    only_true_knocks_open_a_closed_machine,
    none_stops_an_honest_knock,
);

const SERVERS: [fn() -> IpAddr; 2] = [|| Machine::Server.v4(), || Machine::Server.v6()];

const UDP: u16 = 4500;
/// Of the shape with number 0.
const FIRST_SOURCE_PORT: u16 = 20_000;
/// Of what is sent last, openly, to know that all before has been judged.
const LAST_SOURCE_PORT: u16 = 1;

const DOORS: &str = "[doors.tcp]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n\
                     [doors.udp]\nsequence = [\"7000/udp\", \"8000/udp\", \"9000/udp\"]\nopens = [\"4500/udp\"]\n";

fn none_reaches_a_protected_port(mode: Mode) {
    none_gets_through(mode, "pass");
}

fn none_reaches_a_closed_machine(mode: Mode) {
    none_gets_through(mode, "drop");
}

fn none_gets_through(mode: Mode, policy: &str) {
    let trusted = "trusted = [\"10.77.0.2\", \"fd00:77::2\"]";
    let site = Site::new(&format!("[filter]\npolicy = \"{policy}\"\n{trusted}\n{DOORS}"));
    let lab = &site.lab;
    lab.keep_tags_in_frames().unwrap();
    let source_routes = ["all", "eth0"].map(|at| format!("net.ipv4.conf.{at}.accept_source_route=1"));
    site.run(Machine::Server, &["sysctl", "-q", "-w", &source_routes[0], &source_routes[1]]);
    keep_order_on_the_wire();
    let _service = Service::start(lab, SSH);
    let shapes = shapes::all();
    // Otherwise this test would not show what it is for.
    for server in SERVERS {
        let unfiltered = got_through(lab, &shapes, server());
        let harmless: Vec<_> = [Knock::Tcp(SSH), Knock::Udp(UDP)]
            .into_iter()
            .flat_map(|at| (0..).zip(&shapes).map(move |(number, shape)| (aim(number, server(), at), shape)))
            .filter(|(aim, shape)| shape.fate.is_delivered && shape.dress(*aim).is_some())
            .filter(|(aim, _)| !unfiltered.contains(&aim.sender()))
            .map(|(aim, shape)| (aim.at, &shape.name))
            .collect();
        assert!(harmless.is_empty(), "not even without a filter: {harmless:?}");
    }
    let _controller = site.attach_in(mode);
    for server in SERVERS {
        let before = TcpCounters::of(lab, Machine::Server);
        let filtered = got_through(lab, &shapes, server());
        let names = filtered.iter().map(|&(Knock::Tcp(port) | Knock::Udp(port))| {
            &shapes[usize::from(port - FIRST_SOURCE_PORT)].name
        });
        assert_eq!(names.collect::<Vec<_>>(), <[&str; 0]>::default());
        // The last one, openly sent, the reset with which its sender's kernel disowns it, and under "pass" the packet to a
        // harmless port that fragments with two beginnings make.
        let segments = TcpCounters::of(lab, Machine::Server).segments_in - before.segments_in;
        assert!(segments <= 3, "{segments} segments reached the server's TCP");
    }
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

fn only_true_knocks_open_a_port(mode: Mode) {
    only_true_knocks_open(mode, "pass");
}

fn only_true_knocks_open_a_closed_machine(mode: Mode) {
    only_true_knocks_open(mode, "drop");
}

/// Each shape has an address of its own and knocks at both doors in it.
fn only_true_knocks_open(mode: Mode, policy: &str) {
    let site = Site::new(&format!("[filter]\npolicy = \"{policy}\"\n{DOORS}"));
    site.lab.keep_tags_in_frames().unwrap();
    keep_order_on_the_wire();
    let _controller = site.attach_in(mode);
    let socket = site.lab.raw_socket(Machine::Stranger).unwrap();
    let shapes = shapes::all();
    let (mut expected, mut names) = (BTreeSet::new(), BTreeMap::new());
    for server in SERVERS {
        for (door, knock) in [("tcp", Knock::Tcp as fn(u16) -> Knock), ("udp", Knock::Udp)] {
            for port in [7000, 8000, 9000] {
                for (number, shape) in shapes.iter().enumerate() {
                    let from = address(number, server());
                    let dressed = shape.dress(Aim { from, ..aim(number, server(), knock(port)) });
                    if dressed.is_some() && shape.fate.is_knock {
                        expected.insert((from.to_string(), door.to_owned()));
                    }
                    names.insert(from.to_string(), &shape.name);
                    send(&socket, dressed);
                }
            }
        }
    }
    let opened: BTreeSet<_> = site.grants().into_iter().collect();
    let wrong: Vec<_> = opened
        .symmetric_difference(&expected)
        .map(|(address, door)| (names[address], address, door))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn none_stops_an_honest_knock(mode: Mode) {
    let site = Site::new(DOORS);
    let lab = &site.lab;
    lab.keep_tags_in_frames().unwrap();
    let service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    let shapes = shapes::all();
    let ports =
        [SSH, UDP, 7000, 8000, 9000].into_iter().flat_map(|port| [Knock::Tcp(port), Knock::Udp(port)]);
    let aims = ports.flat_map(|at| SERVERS.map(|server| aim(0, server(), at)));
    let frames: Vec<Vec<u8>> =
        aims.flat_map(|aim| shapes.iter().filter_map(move |shape| shape.dress(aim))).flatten().collect();
    let (stop, socket) = (AtomicBool::new(false), lab.raw_socket(Machine::Stranger).unwrap());
    thread::scope(|scope| {
        let meanwhile = Until(&stop);
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
        for server in SERVERS {
            assert!(connect(lab, Machine::Client, server(), SSH).is_silence());
            stock_knock(lab, Machine::Client, &["-d", "200"], server(), SSH_SEQUENCE);
            let mut stream = connect_within(lab, Machine::Client, server(), SSH, limit()).stream();
            assert!(carries_data(&mut stream, limit()));
        }
        drop(meanwhile);
        assert!(flood.join().unwrap() > 1, "the flood went on meanwhile");
    });
    assert_eq!(service.accepted(), SERVERS.len(), "nobody else got through");
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
