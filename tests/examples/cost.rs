//! What a packet costs: nanoseconds of one run of the loaded program, with one door and with a thousand. Needs root.

use anyhow::{Result, ensure};
use knock_tests::kernel::KernelFilter;
use knock_tests::model::{Door, Port, PortRange, Rules};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::ACK;
use knock_tests::rule_set::rule_set;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const SEQUENCE: [u16; 3] = [7000, 8000, 9000];
const SSH: u16 = 22;

/// Runs in a row, and how often that is tried: the best try is the one that nothing else disturbed.
const RUNS: u32 = 1_000_000;
const TRIES: usize = 5;

fn main() -> Result<()> {
    let one = costs(1)?;
    let thousand = costs(1_000)?;
    println!("{:<28} {:>8} {:>12} {:>6}", "packet", "1 door", "1,000 doors", "ratio");
    for ((packet, one), (_, thousand)) in one.iter().zip(&thousand) {
        let ratio = f64::from(*thousand) / f64::from(*one);
        println!("{packet:<28} {one:>5} ns {thousand:>9} ns {ratio:>6.2}");
    }
    Ok(())
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

/// Each kind of packet with its nanoseconds.
fn costs(doors: u16) -> Result<Vec<(&'static str, u32)>> {
    let mut kernel = KernelFilter::new(&rule_set(&rules(doors)))?;
    for port in SEQUENCE.into_iter().chain([SSH]) {
        kernel.judge(&syn(CLIENT, port).build());
    }
    ensure!(kernel.has_grant(&CLIENT.into()), "the client is let in");
    let packets = [
        ("ARP", Frame::arp()),
        ("SYN to an unlisted port", syn(STRANGER, 60_001)),
        ("data to an unlisted port", syn(STRANGER, 60_001).flags(ACK)),
        ("SYN to a public port", syn(STRANGER, 80)),
        ("data to a public port", syn(STRANGER, 80).flags(ACK)),
        ("stranger's SYN, dropped", syn(STRANGER, SSH)),
        ("first knock, repeated", syn(STRANGER, SEQUENCE[0])),
        ("data of an accepted flow", syn(CLIENT, SSH).flags(ACK)),
    ];
    packets.into_iter().map(|(packet, frame)| Ok((packet, cost(&mut kernel, &frame)?))).collect()
}

fn cost(kernel: &mut KernelFilter, frame: &Frame) -> Result<u32> {
    let frame = frame.build();
    let mut best = u32::MAX;
    for _ in 0..TRIES {
        best = best.min(kernel.program.test_run(&frame, RUNS)?.1);
    }
    Ok(best)
}

fn syn(source: IpAddr, port: u16) -> Frame {
    Frame::tcp(source, SERVER).ports(40_000, port).sequence(1)
}
