//! What a packet costs: nanoseconds of one run of the loaded program, with one door and with a thousand, beside an empty
//! program and xdp-filter in the same run. Needs root.

mod peers;

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use knock_tests::kernel::KernelFilter;
use knock_tests::model::{Door, Port, PortRange, Rules};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::ACK;
use knock_tests::rule_set::rule_set;

use self::peers::{Empty, XdpFilter};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const SEQUENCE: [u16; 3] = [7000, 8000, 9000];
const SSH: u16 = 22;
/// From where this machine has asked somebody.
const ASKING: u16 = 40_053;

/// Runs in a row, and how often that is tried, all programs in turn: the best try is the one that nothing else disturbed.
const RUNS: u32 = 1_000_000;
const TRIES: usize = 7;

fn main() -> Result<()> {
    let (mut one, mut thousand) = (filter(1)?, filter(1_000)?);
    let mut empty = Empty::load()?;
    let xdp_filter = XdpFilter::load(SSH)
        .inspect_err(|error| eprintln!("xdp-filter is not measured (packages xdp-tools, bpftool): {error:#}"))
        .ok();
    println!(
        "{:<40} {:>8} {:>8} {:>12} {:>11} {:>6}",
        "packet", "empty", "1 door", "1,000 doors", "xdp-filter", "ratio"
    );
    for (name, frame) in packets() {
        let mut best = [u32::MAX; 4];
        for _ in 0..TRIES {
            let costs = [
                empty.cost(&frame, RUNS)?,
                one.program.test_run(&frame, RUNS)?.1,
                thousand.program.test_run(&frame, RUNS)?.1,
                xdp_filter.as_ref().map_or(Ok(u32::MAX), |peer| peer.cost(&frame, RUNS))?,
            ];
            best = std::array::from_fn(|which| best[which].min(costs[which]));
        }
        let [empty, one, thousand, peer] = best;
        print!("{name:<40} {empty:>5} ns {one:>5} ns {thousand:>9} ns");
        match peer {
            u32::MAX => println!(),
            _ => println!(" {peer:>8} ns {:>6.2}", f64::from(one) / f64::from(peer)),
        }
    }
    Ok(())
}

/// Under rules with so many doors, with a client that has been let in.
fn filter(doors: u16) -> Result<KernelFilter> {
    let mut kernel = KernelFilter::new(&rule_set(&rules(doors)))?;
    for port in SEQUENCE.into_iter().chain([SSH]) {
        kernel.judge(&syn(CLIENT, port).build());
    }
    ensure!(kernel.has_grant(&CLIENT.into()), "the client is let in");
    kernel.leaving(&Frame::udp(SERVER, STRANGER).ports(ASKING, 53).payload(b"question").build());
    Ok(kernel)
}

/// Doors of three steps, the first of them [`SEQUENCE`]; all open [`SSH`].
fn rules(doors: u16) -> Rules {
    let sequence = |door: u16| match door {
        0 => SEQUENCE,
        _ => [20_000 + door, 30_000 + door, 40_000 + door],
    };
    let door = |door| Door::new(sequence(door).map(Port::tcp).to_vec(), vec![Port::tcp(SSH)]);
    Rules {
        doors: (0..doors).map(door).collect(),
        public: vec![PortRange::from(Port::tcp(80))],
        ..Rules::default()
    }
}

fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let packets = [
        ("ARP", Frame::arp()),
        ("data to a public port", syn(STRANGER, 80).flags(ACK)),
        ("data to an unlisted port", syn(STRANGER, 60_001).flags(ACK)),
        ("stranger's SYN to a closed port, dropped", syn(STRANGER, SSH)),
        ("data of an accepted connection", syn(CLIENT, SSH).flags(ACK)),
        (
            "answer to this machine's datagram",
            Frame::udp(STRANGER, SERVER).ports(53, ASKING).payload(b"answer"),
        ),
        ("SYN to a port where nothing listens", syn(STRANGER, 60_001)),
        ("first knock, sent again", syn(STRANGER, SEQUENCE[0])),
    ];
    packets.into_iter().map(|(name, frame)| (name, frame.build())).collect()
}

fn syn(source: IpAddr, port: u16) -> Frame {
    Frame::tcp(source, SERVER).ports(40_000, port).sequence(1)
}
