//! One packet again and again: what is looked up lies in the CPU's caches, as for a connection at work or an insistent scanner.

use anyhow::Result;
use knock_common::reason::Reason;
use knock_tests::model::Policy;
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, CTAG};

use super::packets::{ASKING, CLIENT, PUBLIC, SEQUENCE, SERVER, SSH, STRANGER, STRANGER_6, UNLISTED, syn};
use super::{Bench, DOORS, Filter, Spec};
use crate::report::{Cell, Section};

struct Packet {
    name: &'static str,
    frame: Frame,
    reason: Reason,
    /// Under which it means that.
    policy: Policy,
}

pub fn measure(bench: &mut Bench<'_>, filters: &mut [Filter], section: &mut Section) -> Result<()> {
    for policy in [Policy::Pass, Policy::Drop] {
        for (filter, doors) in filters.iter_mut().zip(DOORS) {
            filter.begin(&Spec { doors, policy, ..Spec::default() });
            filter.let_in(CLIENT)?;
            filter.leaving(&Frame::udp(SERVER, STRANGER).ports(ASKING, 53).payload(b"question").build())?;
        }
        for packet in packets().iter().filter(|packet| packet.policy == policy) {
            let cells = cells(bench, filters, packet);
            section.row(packet.name, cells.unwrap_or_else(|error| vec![Cell::Failed(format!("{error:#}"))]));
        }
    }
    Ok(())
}

/// Empty, ours, ours with many doors, xdp-filter, ratio.
fn cells(bench: &mut Bench<'_>, filters: &mut [Filter], packet: &Packet) -> Result<Vec<Cell>> {
    let frame = packet.frame.build();
    let runs = bench.effort.choose(100_000, 300_000);
    let mut costs: [Vec<f64>; 4] = Default::default();
    for _ in 0..bench.effort.choose(5, 31) {
        costs[0].push(bench.floor.cost(&frame, runs)?);
        for (filter, costs) in filters.iter_mut().zip(&mut costs[1..3]) {
            costs.push(filter.cost(&frame, runs, packet.reason)?);
        }
        if let Some(peer) = bench.peer {
            costs[3].push(peer.cost(&frame, runs)?);
        }
    }
    let mut cells = costs.map(|repeats| Cell::of(&repeats)).to_vec();
    cells.push(cells[1].over(&cells[3]));
    Ok(cells)
}

fn packets() -> Vec<Packet> {
    let packet = |name, frame, reason, policy| Packet { name, frame, reason, policy };
    let answer = || Frame::udp(STRANGER, SERVER).ports(53, ASKING).payload(b"answer");
    let open = [
        ("ARP", Frame::arp(), Reason::NotIp),
        ("data to a public port", syn(STRANGER, PUBLIC).flags(ACK), Reason::Public),
        ("data to an unlisted port", syn(STRANGER, UNLISTED).flags(ACK), Reason::Unlisted),
        ("data to an unlisted port, IPv6", syn(STRANGER_6, UNLISTED).flags(ACK), Reason::Unlisted),
        ("data of an accepted connection", syn(CLIENT, SSH).flags(ACK), Reason::Flow),
        ("stranger's SYN to a closed port, dropped", syn(STRANGER, SSH), Reason::NoGrant),
        ("the same over IPv6", syn(STRANGER_6, SSH), Reason::NoGrant),
        ("the same under a VLAN tag", syn(STRANGER, SSH).vlan(CTAG, 7), Reason::NoGrant),
        ("answer to this machine's datagram", answer(), Reason::Unlisted),
        ("SYN to a port where nothing listens", syn(STRANGER, UNLISTED), Reason::Unlisted),
        ("first knock, sent again", syn(STRANGER, SEQUENCE[0]), Reason::Knock),
    ];
    let closed = [
        ("policy drop: data of an accepted connection", syn(CLIENT, SSH).flags(ACK), Reason::Flow),
        ("policy drop: answer to this machine's datagram", answer(), Reason::Flow),
        ("policy drop: stranger's SYN, dropped", syn(STRANGER, UNLISTED), Reason::PolicyDrop),
        ("policy drop: first knock, sent again", syn(STRANGER, SEQUENCE[0]), Reason::PolicyDrop),
    ];
    open.map(|(name, frame, reason)| packet(name, frame, reason, Policy::Pass))
        .into_iter()
        .chain(closed.map(|(name, frame, reason)| packet(name, frame, reason, Policy::Drop)))
        .collect()
}
