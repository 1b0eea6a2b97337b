//! Those who don't know the sequence: they try, guess and scan, and find only what is public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use knock_tests::lab::{Machine, Volley};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::ACK;
use knock_tests::site::{Knock, SSH, Site, connect, connect_within, knock_raw};

use crate::tally::{Event, Tally};

pub const PUBLIC: u16 = 80;

const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);
/// Ends each guess, so that the next does not go on with it.
const WRONG: Knock = Knock::Tcp(31_337);

/// Too little, in the wrong order, with another port in between, by another protocol.
const GUESSES: [&[Knock]; 5] = [
    &[WRONG],
    &[Knock::Tcp(7000), Knock::Udp(8000), WRONG],
    &[Knock::Tcp(9000), Knock::Udp(8000), Knock::Tcp(7000), WRONG],
    &[Knock::Tcp(7000), WRONG, Knock::Udp(8000), Knock::Tcp(9000), WRONG],
    &[Knock::Tcp(7000), Knock::Tcp(8000), Knock::Tcp(9000), WRONG],
];

/// Ports in a row of a scan, and what follows each row.
const SCAN_ROW: usize = 20;
const SCAN_PAUSE: Duration = Duration::from_millis(10);
/// Copies of each of a flood's frames in a row.
const VOLLEY: u32 = 5_000;
const FORGED: u8 = 8;

/// Guesses and tries to connect, over both families in turn; what is public is there all the time.
pub fn guess_until(over: &AtomicBool, site: &Site, tally: &Tally, cable: &RwLock<()>) {
    let lab = &site.lab;
    let socket = lab.raw_socket(Machine::Stranger).expect("a packet socket");
    let servers = [Machine::Server.v4(), Machine::Server.v6()];
    for (server, guess) in servers.iter().cycle().zip(GUESSES.iter().cycle()) {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let _plugged = cable.read().unwrap_or_else(PoisonError::into_inner);
        let stranger = Machine::Stranger.of_family(*server);
        knock_raw(&socket, stranger, *server, guess, PAUSE);
        tally.count(Event::Tried);
        let answer = connect(lab, Machine::Stranger, *server, SSH);
        if answer.is_silence() {
            tally.count(Event::Refused);
        } else {
            tally.broken(&format!("{stranger}: has guessed {guess:?} and got an answer: {answer:?}"));
        }
        let public = connect_within(lab, Machine::Stranger, *server, PUBLIC, PATIENCE);
        tally.expect(public.is_accepted(), &format!("{stranger}: port {PUBLIC} is public, but: {public:?}"));
    }
}

/// Scans all ports in an order that changes, over both protocols and families.
pub fn scan_until(over: &AtomicBool, site: &Site) {
    let socket = site.lab.raw_socket(Machine::Stranger).expect("a packet socket");
    let mut ports: Vec<Knock> =
        (1..=u16::MAX).flat_map(|port| [Knock::Tcp(port), Knock::Udp(port)]).collect();
    let sources: [IpAddr; 2] =
        [Ipv4Addr::new(10, 77, 2, 1).into(), Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 2, 1).into()];
    for source in sources.into_iter().cycle() {
        fastrand::shuffle(&mut ports);
        for row in ports.chunks(SCAN_ROW) {
            if over.load(Ordering::Relaxed) {
                return;
            }
            for (source_port, port) in (40_000..).zip(row) {
                let frame = port.frame(source, Machine::Server.of_family(source), source_port);
                socket.send(&frame.build()).expect("a frame that is sent");
            }
            thread::sleep(SCAN_PAUSE);
        }
    }
}

/// First knocks, later ones, connections and their data, in the names of others who never complete a sequence.
pub fn flood() -> Vec<Volley> {
    let server = Machine::Server.v4();
    let of_one = |number| {
        let from = IpAddr::V4(Ipv4Addr::new(10, 77, 1, number));
        let frames = [
            Frame::tcp(from, server).ports(0, 7000),
            Frame::tcp(from, server).ports(0, SSH),
            Frame::udp(from, server).ports(0, 8000).payload(&[0; 8]),
            Frame::tcp(from, server).ports(0, SSH).flags(ACK),
        ];
        frames.map(|frame| Volley { from, frame, count: VOLLEY })
    };
    (0..FORGED).flat_map(of_one).collect()
}
