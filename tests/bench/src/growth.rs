//! What a packet costs with much to look through.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use knock_common::reason::Reason;
use knock_ctl::config::Limits;
use knock_tests::model::Policy;
use knock_tests::packet::numbers::ACK;

use crate::cost::{CLIENT, Filter, SEQUENCE, SSH, STRANGER, Spec, syn};
use crate::effort::Effort;
use crate::programs::{Action, EachSource, Empty};
use crate::report::{Cell, Excerpt, Plot, Scale, Section};

/// What there is more and more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growing {
    Doors,
    Grants,
    Attempts,
    Trusted,
}

const COLUMNS: [&str; 4] =
    ["stranger's SYN, dropped", "the same of new sources", "first knock, sent again", "data of a connection"];

/// Column, file and title.
const PLOTS: [(usize, &str, &str); 2] = [
    (1, "growth-strangers", "A stranger's SYN that is dropped, each from another source"),
    (2, "growth-knocks", "A first knock, sent again"),
];

/// Packets at a time where each comes from a source of its own.
const SOURCES: u32 = 5000;
/// Where those are counted from who only scan, and who fill the tables.
const SCANNING: u32 = 0x2000_0000;
const FILLING: u32 = 0x3000_0000;

/// # Errors
/// When our program can't be loaded.
pub fn measure(effort: Effort) -> Result<Section> {
    let columns: Vec<_> =
        ["ns per packet, with"].into_iter().chain(COLUMNS).chain(["ratios to the first"]).collect();
    let mut section = Section::new("growth", "How the cost grows", &columns);
    let mut bench = Bench::new(effort)?;
    let mut plots = PLOTS.map(|(_, name, title)| {
        let (x, y) = (("how many there are", Scale::Logarithmic), ("ns per packet", Scale::Linear));
        Plot::new(name, title, x, y)
    });
    for growing in [Growing::Doors, Growing::Grants, Growing::Attempts, Growing::Trusted] {
        let amounts = growing.amounts(effort);
        let measured = bench.rows(growing, &amounts);
        for (&amount, cells) in amounts.iter().zip(&measured) {
            let mut cells = cells.clone();
            cells.push(worst_ratio(&cells, &measured[0]));
            section.row(growing.name(amount), cells);
        }
        for (plot, (column, ..)) in plots.iter_mut().zip(PLOTS) {
            let points = amounts
                .iter()
                .zip(&measured)
                .filter_map(|(&amount, cells)| Some((f64::from(amount.max(1)), cells.get(column)?.value()?)));
            plot.line(growing.plural(), points.collect());
        }
    }
    section.plots = plots.into();
    section.excerpt = Some(Excerpt {
        rows: section.rows.iter().map(|row| row.name.clone()).collect(),
        columns: (0..6).collect(),
    });
    section.note("Run over the packet in the kernel, policy drop, default limits; amounts take turns.");
    section.note(
        "The last column is the greatest ratio of the row's figures to those of the first row of its kind: of each the median over the rounds, in which all amounts take turns.",
    );
    Ok(section)
}

struct Bench {
    effort: Effort,
    floor: Empty,
    filter: Filter,
    empty_sources: EachSource,
    sources: EachSource,
}

impl Bench {
    fn new(effort: Effort) -> Result<Self> {
        let [doors, trusted] = [Growing::Doors, Growing::Trusted].map(Growing::most);
        // The maps of rules are made for the largest.
        let spec = Spec { doors: u16::try_from(doors)?, trusted, ..Spec::default() };
        let (mut floor, mut filter) = (Empty::load(Action::Pass)?, Filter::load(&spec)?);
        let (empty_sources, sources) = (EachSource::before(floor.fd()?)?, EachSource::before(filter.fd()?)?);
        Ok(Self { effort, floor, filter, empty_sources, sources })
    }

    /// The figures for each amount.
    fn rows(&mut self, growing: Growing, amounts: &[u32]) -> Vec<Vec<Cell>> {
        let mut costs: Vec<[Vec<f64>; 4]> = amounts.iter().map(|_| Default::default()).collect();
        for _ in 0..self.effort.choose(3, 21) {
            for (&amount, costs) in amounts.iter().zip(&mut costs) {
                if let Err(error) = self.add(growing, amount, costs) {
                    let why = format!("{}: {error:#}", growing.name(amount));
                    return amounts.iter().map(|_| vec![Cell::Failed(why.clone())]).collect();
                }
            }
        }
        costs.into_iter().map(|costs| costs.map(|repeats| Cell::of(&repeats)).to_vec()).collect()
    }

    fn add(&mut self, growing: Growing, amount: u32, costs: &mut [Vec<f64>; 4]) -> Result<()> {
        self.prepare(growing, amount)?;
        let runs = self.effort.choose(100_000, 200_000);
        let stranger = syn(STRANGER, SSH).build();
        let knock = syn(STRANGER, SEQUENCE[0]).build();
        let data = syn(CLIENT, SSH).flags(ACK).build();
        let scanning = syn(Ipv4Addr::from_bits(SCANNING).into(), SSH).build();
        let [once, scan, first, flow] = costs;
        once.push(self.filter.cost(&stranger, runs, Reason::NoGrant)?);
        first.push(self.filter.cost(&knock, runs, Reason::PolicyDrop)?);
        flow.push(self.filter.cost(&data, runs, Reason::Flow)?);
        let counting = self.empty_sources.cost(&scanning, SOURCES)? - self.floor.cost(&scanning, SOURCES)?;
        let of_new = self.filter.cost_through(&mut self.sources, &scanning, SOURCES, Reason::NoGrant)?;
        scan.push(of_new - counting);
        Ok(())
    }

    fn prepare(&mut self, growing: Growing, amount: u32) -> Result<()> {
        let spec = Spec { policy: Policy::Drop, ..Spec::default() };
        let spec = match growing {
            Growing::Doors => Spec { doors: u16::try_from(amount)?, ..spec },
            Growing::Trusted => Spec { trusted: amount, ..spec },
            Growing::Grants | Growing::Attempts => spec,
        };
        self.filter.begin(&spec);
        self.filter.let_in(CLIENT)?;
        match growing {
            Growing::Doors | Growing::Trusted => {}
            Growing::Grants => {
                for port in SEQUENCE {
                    self.knock(port, amount - 1)?;
                }
            }
            Growing::Attempts => {
                self.knock(SEQUENCE[0], amount - 1)?;
                let used = self.filter.attempts()?;
                // A set may fill before others.
                ensure!(used >= amount as usize / 10 * 6, "{used} of {amount} attempts are there");
            }
        }
        Ok(())
    }

    /// From so many sources, one after the other.
    fn knock(&mut self, port: u16, sources: u32) -> Result<()> {
        if sources > 0 {
            let from = IpAddr::V4(Ipv4Addr::from_bits(FILLING));
            let frame = syn(from, port).build();
            self.filter.cost_through(&mut self.sources, &frame, sources, Reason::PolicyDrop)?;
        }
        Ok(())
    }
}

impl Growing {
    fn most(self) -> u32 {
        let limits = Limits::default();
        match self {
            Self::Doors => 1000,
            Self::Grants => limits.grants,
            Self::Attempts => limits.attempts,
            Self::Trusted => 10_000,
        }
    }

    fn amounts(self, effort: Effort) -> Vec<u32> {
        let between: &[u32] = match self {
            Self::Doors => &[10, 100],
            Self::Grants => &[16, 256, 4096],
            Self::Attempts => &[64, 4096, 262_144],
            Self::Trusted => &[1, 10, 100, 1000],
        };
        let least = u32::from(self != Self::Trusted);
        let between = effort.choose(&[][..], between);
        [&[least], between, &[self.most()]].concat()
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Doors => "doors",
            Self::Grants => "grants",
            Self::Attempts => "attempts",
            Self::Trusted => "trusted prefixes",
        }
    }

    fn name(self, amount: u32) -> String {
        let plural = self.plural();
        let what = if amount == 1 { plural.trim_end_matches("es").trim_end_matches('s') } else { plural };
        format!("{} {what}", Cell::Number(f64::from(amount)))
    }
}

fn worst_ratio(cells: &[Cell], first: &[Cell]) -> Cell {
    let ratios = cells.iter().zip(first).filter_map(|(cell, first)| cell.over(first).value());
    ratios.reduce(f64::max).map_or(Cell::Nothing, Cell::Ratio)
}
