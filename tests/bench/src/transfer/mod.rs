//! An honest connection through the box, while it is scanned as fast as the machine can.

mod box_under_test;
mod connection;

use std::time::Duration;

use anyhow::Result;
use knock_tests::lab::{Flood, Forgery};

use crate::effort::Effort;
use crate::report::{Cell, Section};
use crate::sample::quantile;

use box_under_test::{BoxUnderTest, Guard};

/// Of which nothing is heard.
const SCANNED: u16 = 4444;
/// Before anything is measured.
const LEAD: Duration = Duration::from_millis(300);

/// How many SYNs a second a scan may send, and what is said of it.
const SCANS: [(Option<u32>, &str); 3] =
    [(None, ""), (Some(500_000), ", scanned at 500,000/s"), (Some(u32::MAX), ", scanned at full rate")];

/// Repeats of what is measured of one box under one scan.
#[derive(Default)]
struct Figures {
    scan: Vec<f64>,
    megabytes: Vec<f64>,
    median: Vec<f64>,
    high: Vec<f64>,
}

/// # Errors
/// Never so far: what can't be measured is told in its row.
pub fn measure(effort: Effort) -> Result<Section> {
    let columns = [
        "a connection through",
        "forged SYNs, million/s",
        "MB/s",
        "to the quiet box",
        "µs there and back",
        "99th percentile",
    ];
    let mut section = Section::new("transfer", "A TCP connection while the box is scanned", &columns);
    let mut boxes: Vec<_> =
        Guard::ALL.map(|guard| (guard, BoxUnderTest::new(guard), SCANS.map(|_| Figures::default()))).into();
    let length = Duration::from_millis(effort.choose(300, 1000));
    for _ in 0..effort.choose(1, 5) {
        for (_, tested, figures) in &mut boxes {
            for (figures, (rate, _)) in figures.iter_mut().zip(SCANS) {
                if let Ok(under_test) = tested
                    && let Err(error) = repeat(under_test, rate, length, figures)
                {
                    *tested = Err(error);
                }
            }
        }
    }
    for (guard, tested, figures) in &boxes {
        if let Err(error) = tested {
            section.row(guard.name(), vec![Cell::Failed(format!("{error:#}"))]);
            continue;
        }
        let [quiet, ..] = figures;
        for (figures, (_, scan)) in figures.iter().zip(SCANS) {
            section.row(format!("{}{scan}", guard.name()), figures.cells(quiet));
        }
    }
    section.note("SYNs from addresses that are others each time go to a closed port, at full rate as fast as one CPU can send them; the connection is to an open port and shares the machine's CPUs with them, sender, box and receiver.");
    section.note("A veth interface with an XDP program takes large segments apart that it would else pass on whole: the empty program shows what that costs.");
    Ok(section)
}

fn repeat(tested: &BoxUnderTest, scan: Option<u32>, length: Duration, figures: &mut Figures) -> Result<()> {
    let forgery = || Forgery::Syns { to: BoxUnderTest::ADDRESS, ports: vec![SCANNED] };
    let flood = scan.map(|rate| Flood::forge(tested.lab(), forgery(), rate)).transpose()?;
    if flood.is_some() {
        std::thread::sleep(LEAD);
    }
    figures.megabytes.push(connection::bytes_a_second(tested, length)? / 1e6);
    let mut round_trips = connection::round_trips(tested, length)?;
    round_trips.sort_by(f64::total_cmp);
    figures.median.extend(quantile(&round_trips, 0.5));
    figures.high.extend(quantile(&round_trips, 0.99));
    figures.scan.push(flood.map_or(Ok(0.0), Flood::end)? / 1e6);
    Ok(())
}

impl Figures {
    fn cells(&self, quiet: &Self) -> Vec<Cell> {
        let megabytes = Cell::of(&self.megabytes);
        let ratio = megabytes.over(&Cell::of(&quiet.megabytes));
        vec![Cell::of(&self.scan), megabytes, ratio, Cell::of(&self.median), Cell::of(&self.high)]
    }
}
