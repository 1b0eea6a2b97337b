//! Packets a second that one CPU sends through a veth pair and drops at its other end.

mod dropper;
mod wire;

use anyhow::Result;

use crate::effort::Effort;
use crate::report::{Cell, Excerpt, Section};

use dropper::Dropper;
use wire::Wire;

/// What is dropped where.
struct Contest {
    dropper: Dropper,
    wire: Result<Wire>,
    rates: Vec<f64>,
}

/// # Errors
/// Never so far: what can't be measured is told in its row.
pub fn measure(effort: Effort) -> Result<Section> {
    let columns =
        ["a stranger's SYN, dropped by", "million packets/s", "to the empty program", "to xdp-filter"];
    let mut section = Section::new("throughput", "Packets a second on one CPU", &columns);
    let start = |dropper| Contest { dropper, wire: Wire::new(dropper), rates: Vec::new() };
    let mut contests: Vec<Contest> = Dropper::ALL.into_iter().map(start).collect();
    for _ in 0..effort.choose(5, 31) {
        for contest in &mut contests {
            if let Ok(wire) = &mut contest.wire {
                match wire.rate(effort.choose(200_000, 700_000)) {
                    Ok(rate) => contest.rates.push(rate / 1e6),
                    Err(error) => contest.wire = Err(error),
                }
            }
        }
    }
    let cells: Vec<Cell> = contests
        .iter()
        .map(|contest| match &contest.wire {
            Ok(_) => Cell::of(&contest.rates),
            Err(error) => Cell::Failed(format!("{error:#}")),
        })
        .collect();
    let of = |wanted: Dropper| {
        let at = contests.iter().position(|contest| contest.dropper == wanted);
        at.map_or(Cell::Nothing, |at| cells[at].clone())
    };
    let (floor, peer) = (of(Dropper::EmptyNative), of(Dropper::XdpFilter));
    for (contest, cell) in contests.iter().zip(&cells) {
        let ratios = [cell.over(&floor), cell.over(&peer)];
        section.row(contest.dropper.name(), [cell.clone()].into_iter().chain(ratios).collect());
    }
    let rows = Dropper::ALL.map(|dropper| dropper.name().to_owned());
    section.excerpt = Some(Excerpt { rows: rows.into(), columns: (0..4).collect() });
    section.note("Ratios are medians of the rounds', in which all take turns.");
    section.note("The kernel injects one frame again and again (live frames), and the same CPU receives it at the other end of the veth pair; sending takes as long as with the empty program, of which it is the greater part. What overflowed between the ends is not counted.");
    Ok(section)
}
