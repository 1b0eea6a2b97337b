//! A new source with each packet: what is looked up lies wherever its hash has put it, and tables fill.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use knock_common::reason::Reason;
use knock_ctl::config::Limits;
use knock_tests::model::Policy;
use knock_tests::packet::numbers::{ACK, SYN};

use super::packets::{SEQUENCE, SSH, UNLISTED, syn};
use super::{Bench, DOORS, Filter, Spec};
use crate::programs::EachSource;
use crate::report::{Cell, Section};

/// As many at a time: all repeats together stay below the table of grants.
const SOURCES: u32 = 5000;

/// Where those are counted from who knock, who only scan, and who fill the table.
const KNOCKING: u32 = 0x0a00_0000;
const SCANNING: u32 = 0x2000_0000;
const FILLING: u32 = 0x3000_0000;

/// What a source sends: name of the row, port, flags, and why that passes or drops.
type Scene = (&'static str, u16, u8, Reason);

/// What the same sources send one after the other, from the first knock to a connection at work.
const STORY: [Scene; 6] = [
    ("first knock", SEQUENCE[0], SYN, Reason::PolicyDrop),
    ("second knock", SEQUENCE[1], SYN, Reason::PolicyDrop),
    ("last knock, which writes the grant", SEQUENCE[2], SYN, Reason::PolicyDrop),
    ("SYN under the grant, which records a connection", SSH, SYN, Reason::Granted),
    ("first data, which confirms the connection", SSH, ACK, Reason::Flow),
    ("more data", SSH, ACK, Reason::Flow),
];
const STRANGERS: [Scene; 1] = [("stranger's SYN to a closed port, dropped", SSH, SYN, Reason::NoGrant)];
const SCANNERS: [Scene; 1] =
    [("stranger's SYN to any other port, dropped", UNLISTED, SYN, Reason::PolicyDrop)];
const CROWD: [Scene; 1] = [("first knock, attempt table full", SEQUENCE[0], SYN, Reason::PolicyDrop)];

/// What lets a program meet one source after the other: the empty one, and ours.
struct Sources {
    empty: EachSource,
    /// For each of the filters.
    ours: Vec<EachSource>,
}

pub fn measure(bench: &mut Bench<'_>, filters: &mut [Filter], section: &mut Section) -> Result<()> {
    let ours: Result<Vec<_>> = filters.iter_mut().map(|filter| EachSource::before(filter.fd()?)).collect();
    let mut sources = Sources { empty: EachSource::before(bench.floor.fd()?)?, ours: ours? };
    for (filter, doors) in filters.iter_mut().zip(DOORS) {
        filter.begin(&Spec { doors, policy: Policy::Drop, ..Spec::default() });
    }
    scenes(bench, section, &mut sources, filters, SCANNING, &STRANGERS);
    scenes(bench, section, &mut sources, filters, SCANNING + (1 << 24), &SCANNERS);
    scenes(bench, section, &mut sources, filters, KNOCKING, &STORY);
    let mut pairs = filters.iter_mut().zip(&mut sources.ours);
    match pairs.try_for_each(|(filter, sources)| fill(filter, sources)) {
        Ok(()) => scenes(bench, section, &mut sources, filters, FILLING + (1 << 24), &CROWD),
        Err(error) => section.row(CROWD[0].0, vec![Cell::Failed(format!("{error:#}"))]),
    }
    Ok(())
}

/// Fills the table of attempts with first knocks, within less time than they last.
fn fill(filter: &mut Filter, sources: &mut EachSource) -> Result<()> {
    let places = Limits::default().attempts;
    let knocks = 3 * places;
    filter.cost_through(sources, &frame(FILLING, SEQUENCE[0], SYN), knocks, Reason::PolicyDrop)?;
    let used = filter.attempts()?;
    ensure!(
        used >= places as usize / 100 * 99,
        "{used} of {places} places are taken by {knocks} first knocks"
    );
    Ok(())
}

/// A row for each packet that the same sources send one after the other; each repeat has sources of its own.
fn scenes(
    bench: &mut Bench<'_>,
    section: &mut Section,
    sources: &mut Sources,
    filters: &mut [Filter],
    first: u32,
    story: &[Scene],
) {
    let mut costs: Vec<[Vec<f64>; 4]> = story.iter().map(|_| Default::default()).collect();
    for repeat in 0..bench.effort.choose(3, 9) {
        let first = first + repeat * SOURCES;
        for (costs, scene) in costs.iter_mut().zip(story) {
            if let Err(error) = measure_scene(bench, sources, filters, first, scene, costs) {
                let (name, ..) = scene;
                return section.row(*name, vec![Cell::Failed(format!("{error:#}"))]);
            }
        }
    }
    for (costs, (name, ..)) in costs.into_iter().zip(story) {
        let mut cells = costs.map(|repeats| Cell::of(&repeats)).to_vec();
        cells.push(cells[1].over(&cells[3]));
        section.row(format!("new sources: {name}"), cells);
    }
}

fn measure_scene(
    bench: &mut Bench<'_>,
    sources: &mut Sources,
    filters: &mut [Filter],
    first: u32,
    &(_, port, flags, reason): &Scene,
    costs: &mut [Vec<f64>; 4],
) -> Result<()> {
    let frame = frame(first, port, flags);
    let empty = bench.floor.cost(&frame, SOURCES)?;
    let counting = sources.empty.cost(&frame, SOURCES)? - empty;
    let [floor, one, thousand, peer] = costs;
    floor.push(empty);
    for ((filter, sources), cost) in filters.iter_mut().zip(&mut sources.ours).zip([one, thousand]) {
        cost.push(filter.cost_through(sources, &frame, SOURCES, reason)? - counting);
    }
    if let Some(xdp_filter) = bench.peer {
        peer.push(xdp_filter.cost(&frame, SOURCES)?);
    }
    Ok(())
}

/// From the source that those of the packets are counted from.
fn frame(first: u32, port: u16, flags: u8) -> Vec<u8> {
    syn(IpAddr::V4(Ipv4Addr::from_bits(first)), port).flags(flags).build()
}
