//! From the last knock to the command that it runs.

pub mod witness;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Result, ensure};
use knock_tests::lab::{Lab, Machine};
use knock_tests::packet::Frame;

use crate::defence::{Commanding, SEQUENCE};
use crate::effort::Effort;
use crate::report::{Cell, Excerpt, Section};
use crate::sample::quantile;

use witness::Witness;

/// Between two knocks: receive queues keep their order within it.
const PAUSE: Duration = Duration::from_millis(1);

/// # Errors
/// When a lab can't be made.
pub fn measure(effort: Effort) -> Result<Section> {
    let columns = ["ms from the last knock to", "knocked", "median", "99th percentile", "worst"];
    let mut section = Section::new("event", "From the last knock to the command", &columns);
    let mut rows = Vec::new();
    for commanding in [Commanding::KnockCtl, Commanding::Knockd] {
        let knocked = match commanding {
            Commanding::KnockCtl => effort.choose(100, 1000),
            Commanding::Knockd => effort.choose(20, 1000),
        };
        let name = format!("the command of {}", commanding.name());
        rows.push(name.clone());
        match times(commanding, knocked) {
            Ok(mut times) => {
                times.sort_by(f64::total_cmp);
                let at = |share| quantile(&times, share).map_or(Cell::Nothing, Cell::Number);
                section.row(name, vec![Cell::Share(times.len(), knocked), at(0.5), at(0.99), at(1.0)]);
            }
            Err(error) => section.row(name, vec![Cell::Failed(format!("{error:#}"))]),
        }
    }
    section.excerpt = Some(Excerpt { rows, columns: (0..5).collect() });
    section.note("Three SYNs, a millisecond apart, each time from another address, and the next only when the command has run: a program that tells the time first of all.");
    Ok(section)
}

/// Milliseconds, one for each time the command ran.
fn times(commanding: Commanding, knocked: usize) -> Result<Vec<f64>> {
    let lab = Lab::new()?;
    let mut witness = Witness::new()?;
    let _daemon = commanding.start(&lab, &witness.command()?)?;
    let socket = lab.raw_socket(Machine::Client)?;
    let mut times = Vec::new();
    for number in 0..knocked {
        let source = Ipv4Addr::from_bits(0x0a4e_0001 + u32::try_from(number)?);
        let mut sent = Duration::ZERO;
        for (step, port) in (0..).zip(SEQUENCE) {
            if step > 0 {
                std::thread::sleep(PAUSE);
            }
            let frame =
                Frame::tcp(IpAddr::V4(source), Machine::Server.v4()).ports(50_000 + step, port).build();
            sent = witness::now()?;
            socket.send(&frame)?;
        }
        let Some(ran) = witness.next()? else { continue };
        times.push((ran.saturating_sub(sent)).as_secs_f64() * 1e3);
    }
    ensure!(!times.is_empty(), "{knocked} times somebody knocked, and no command ran");
    Ok(times)
}
