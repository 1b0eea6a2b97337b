//! Packets that forge the address of somebody who is let in harm neither them nor anybody else.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::time::{Duration, Instant};

use knock_tests::lab::{Flood, INTERFACE, Lab, Machine, Volley};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, FIN, PSH, RST, SYN};

use crate::site::*;

in_each_mode!(nobody_is_harmed_by_syns, nobody_is_harmed_by_others, with_same_ttl_an_attempt_goes_on);

const KNOCKS: [Knock; 3] = [Knock::Tcp(7000), Knock::Udp(8000), Knock::Tcp(9000)];
const DOOR: &str = "[doors.ssh]\nsequence = [7000, \"8000/udp\", 9000]\nopens = [\"22/tcp\", \"4500/udp\"]\nopen_for = \"10m\"\n";

/// Sessions besides the one whose address is forged, half of them of each family.
const OTHERS: u16 = 100;
/// Each forged address could fill them all.
const FLOWS: u32 = 8192;
/// As far as the machine can send them beside all else.
const FORGED_PER_SECOND: u32 = 1_000_000;
/// TTL of those that the server's kernel drops behind the filter: it could not answer so many.
const MARK: u8 = 77;
const MARKED: u32 = 400_000;
const UNMARKED: u32 = 1024;

fn nobody_is_harmed_by_syns(mode: Mode) {
    nobody_is_harmed(mode, |from, server| vec![Frame::tcp(from, server).ports(0, SSH)]);
}

/// All that belongs to connections that there are already, and datagrams.
fn nobody_is_harmed_by_others(mode: Mode) {
    nobody_is_harmed(mode, |from, server| {
        let segments = [ACK, PSH | ACK, RST, RST | ACK, FIN | ACK, SYN | ACK];
        let segment = |flags| Frame::tcp(from, server).ports(0, SSH).flags(flags).sequence(fastrand::u32(..));
        let datagram = Frame::udp(from, server).ports(0, 4500).payload(&[0; 8]);
        segments.map(segment).into_iter().chain([datagram]).collect()
    });
}

/// `forge` makes what comes in the name of an address to the server's.
fn nobody_is_harmed(mode: Mode, forge: fn(IpAddr, IpAddr) -> Vec<Frame>) {
    let config = format!("[filter]\npolicy = \"drop\"\n[limits]\nflows = {FLOWS}\n{DOOR}");
    let site = Site::over(Lab::alone().unwrap(), &config);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    let victims = [Machine::Client.v4(), Machine::Client.v6()];
    let others = (0..OTHERS).map(other);
    let newcomers = (OTHERS..OTHERS + 8).map(other);
    site.add_to_client(others.clone().chain(newcomers.clone()));
    let mut sessions: Vec<TcpStream> =
        victims.into_iter().chain(others).map(|address| enter(lab, address)).collect();

    let forged = victims.into_iter().flat_map(|from| {
        forge(from, Machine::Server.of_family(from)).into_iter().map(move |frame| (from, frame))
    });
    let volleys: Vec<Volley> = forged
        .flat_map(|(from, frame)| {
            let marked = Volley { from, frame: frame.clone().ttl(MARK), count: MARKED };
            [Volley { from, frame, count: UNMARKED }, marked]
        })
        .collect();
    let round = volleys.iter().map(|volley| volley.count).sum::<u32>() / FORGED_PER_SECOND;
    let least = Duration::from_secs(u64::from(round.max(3)));
    load_ruleset(
        lab,
        &format!(
            "table netdev spared {{ chain arriving {{ type filter hook ingress device {INTERFACE} priority 0; \
             ip ttl {MARK} drop; ip6 hoplimit {MARK} drop; }}; }}"
        ),
    );
    let flood = Flood::start(lab, volleys, FORGED_PER_SECOND).unwrap();
    let begun = Instant::now();
    let mut newcomers = newcomers.peekable();
    while newcomers.peek().is_some() || begun.elapsed() < least {
        for session in &mut sessions {
            assert!(carries_data(session, limit()), "{:?}", session.local_addr());
        }
        // Who knocks only now is let in too.
        sessions.extend(newcomers.next().map(|address| enter(lab, address)));
    }
    let rate = flood.end().unwrap();
    // The test harness hides what the print macros write.
    let _ = writeln!(io::stderr(), "forged packets a second: {rate:.0}");
    assert!(rate > 1000.0, "a flood");
    for session in &mut sessions {
        assert!(carries_data(session, limit()));
    }
    for victim in victims {
        assert!(carries_data(&mut connect_as(lab, victim, limit()).unwrap(), limit()));
    }
}

/// Those who forge are elsewhere: what they send has come another way, and so many hops further.
fn with_same_ttl_an_attempt_goes_on(mode: Mode) {
    let site = Site::new(&format!("{DOOR}same_ttl = true\n"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    let [client, stranger] =
        [Machine::Client, Machine::Stranger].map(|machine| lab.raw_socket(machine).unwrap());
    keep_order_on_the_wire();
    for victim in [Machine::Client.v4(), Machine::Client.v6()] {
        let server = Machine::Server.of_family(victim);
        for (source_port, knock) in (6000..).zip(KNOCKS) {
            client.send(&knock.frame(victim, server, source_port).build()).unwrap();
            for number in 0..1000 {
                let forged = match number % 5 {
                    0 => Knock::Tcp(7000),
                    1 => Knock::Udp(8000),
                    2 => Knock::Tcp(9000),
                    3 => Knock::Tcp(10_000 + number),
                    _ => Knock::Udp(10_000 + number),
                };
                let frame = forged.frame(victim, server, 20_000 + number).ttl(40 + (number % 20) as u8);
                stranger.send(&frame.build()).unwrap();
            }
        }
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
    }
}

fn other(number: u16) -> IpAddr {
    if number.is_multiple_of(2) {
        Ipv4Addr::new(10, 77, 0, 20 + number as u8).into()
    } else {
        Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, number).into()
    }
}

/// Knocks and connects from one of the client's addresses, again where a flood took the place of a knock.
fn enter(lab: &Lab, address: IpAddr) -> TcpStream {
    let server = Machine::Server.of_family(address);
    let socket = lab.raw_socket(Machine::Client).unwrap();
    let begun = Instant::now();
    loop {
        knock_raw(&socket, address, server, &KNOCKS, Duration::from_millis(5));
        match connect_as(lab, address, Duration::from_secs(2)) {
            Ok(mut session) => {
                assert!(carries_data(&mut session, limit()));
                return session;
            }
            Err(error) => assert!(begun.elapsed() < limit(), "{address}: {error}"),
        }
    }
}
