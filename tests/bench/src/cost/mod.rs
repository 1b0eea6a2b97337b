//! Nanoseconds of a packet, by running the loaded programs over it in the kernel (BPF_PROG_TEST_RUN).

mod again;
mod filter;
mod packets;
mod sources;

use anyhow::Result;

use crate::effort::Effort;
use crate::programs::{Action, Empty, XdpFilter};
use crate::report::{Excerpt, Section};

pub use filter::{Filter, Spec};
pub use packets::{CLIENT, SEQUENCE, SSH, STRANGER, syn};

/// Of the rules that ours is measured under.
const DOORS: [u16; 2] = [1, 1000];

/// In the README.
const EXCERPT: [&str; 12] = [
    "data to a public port",
    "data to an unlisted port",
    "data of an accepted connection",
    "stranger's SYN to a closed port, dropped",
    "answer to this machine's datagram",
    "SYN to a port where nothing listens",
    "policy drop: stranger's SYN, dropped",
    "policy drop: first knock, sent again",
    "new sources: stranger's SYN to a closed port, dropped",
    "new sources: first knock",
    "new sources: first knock, attempt table full",
    "new sources: last knock, which writes the grant",
];

/// # Errors
/// When our own program can't be loaded.
pub fn measure(effort: Effort) -> Result<Section> {
    let columns = ["ns per packet", "empty", "ours", "ours, 1,000 doors", "xdp-filter", "to xdp-filter"];
    let mut section = Section::new("cost", "Cost of a packet in the kernel", &columns);
    let mut floor = Empty::load(Action::Pass)?;
    let peer = XdpFilter::load(SSH);
    if let Err(error) = &peer {
        section.note(format!("xdp-filter was not measured (packages xdp-tools, bpftool): {error:#}"));
    }
    let mut bench = Bench { floor: &mut floor, peer: peer.as_ref().ok(), effort };
    // The second takes the verifier's seconds again.
    let doors = &DOORS[..effort.choose(1, DOORS.len())];
    let filters: Result<Vec<_>> = doors.iter().map(|&doors| Filter::load(&spec(doors))).collect();
    let mut filters = filters?;
    again::measure(&mut bench, &mut filters, &mut section)?;
    sources::measure(&mut bench, &mut filters, &mut section)?;
    section.excerpt = Some(Excerpt { rows: EXCERPT.map(str::to_owned).into(), columns: (0..6).collect() });
    section.note("Each program is run over the packet in the kernel (BPF_PROG_TEST_RUN), all in turn.");
    section.note("The last column is the ratio of ours to xdp-filter, which looks one TCP port up: the median over the rounds, in which all programs take turns.");
    section.note("New sources, under policy drop: 5,000 packets at a time, each from a source of its own, so that tables are not in the CPU's caches. A small program counts the packet's source address up and goes on with ours by a tail call; what it takes before the empty program is taken off.");
    section.note("Under policy pass, SYNs to ports where nothing listens, knocks too, are held up on purpose, 50,000 a second and CPU: see Limits in the README.");
    Ok(section)
}

fn spec(doors: u16) -> Spec {
    Spec { doors, ..Spec::default() }
}

/// What all rows are measured beside.
struct Bench<'a> {
    floor: &'a mut Empty,
    peer: Option<&'a XdpFilter>,
    effort: Effort,
}
