//! A flood alone, on one controller that logs to a file: memory, descriptors and log stay as they are.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use knock_tests::lab::{Flood, INTERFACE, Lab};
use knock_tests::site::{SSH, SSH_DOOR, Site};

use crate::footprint::{Footprint, Footprints};
use crate::log_watch::{Growth, LogWatch};
use crate::tally::Tally;
use crate::{Length, MINUTE, WITHOUT_TIME, report, strangers};

const LOOK: Duration = Duration::from_secs(1);
/// Besides the minutes: to begin and to end.
const ROOM: Duration = Duration::from_secs(300);
/// From then on memory stays as it is.
const SETTLED: usize = 5;
/// By so much, up or down.
const PERCENT: f64 = 5.0;
const LINES_A_SECOND: f64 = 100.0;
const BYTES_AN_HOUR: f64 = 10e6;
const HOUR: f64 = 3600.0;
/// What the controller says of itself.
const OF_ITSELF: u64 = 20;

/// Whether every invariant held, under so many packets a second.
///
/// # Errors
/// When something can't be looked at.
pub fn run(length: &Length, rate: u32) -> Result<bool> {
    let site = Site::over(Lab::lasting(length.of_time + ROOM)?, "");
    let path = site.file("knock.log");
    site.configure(&format!(
        "[filter]\npolicy = \"drop\"\n[log]\nstages = true\ndrops = true\nfile = {path:?}\n{SSH_DOOR}"
    ));
    let mut controller = site.attach(&["--mode", "native"]);
    let tally = Tally::begin();
    let flood = Flood::start(&site.lab, strangers::flood(), rate)?;
    let (mut footprints, mut seen) = (Footprints::default(), Vec::new());
    let mut log = LogWatch::begin(path);
    println!("{INTERFACE}: {rate} packets a second to {SSH}, 7000 and 8000");
    report::heading(&[]);
    let (begun, mut minute) = (Instant::now(), Instant::now());
    while begun.elapsed() < length.of_time && !length.interrupted.load(Ordering::Relaxed) {
        let looked = Instant::now();
        expect_few_lines(&tally, &log.look()?);
        if minute.elapsed() >= MINUTE {
            minute += MINUTE;
            let footprint = footprints.look(&site, controller.id())?;
            report::line(&tally, &[], &footprint, &log);
            seen.push(footprint);
        }
        thread::sleep(LOOK.saturating_sub(looked.elapsed()));
    }
    seen.push(footprints.look(&site, controller.id())?);
    expect_room(&tally, &log, begun.elapsed());
    let dropped = site.status()["counters"]["drop"].as_u64().unwrap_or_default();
    println!("packets a second: {:.0} sent; {dropped} dropped in all", flood.end()?);
    expect_settled(&tally, &seen);
    tally.expect(controller.terminate().success(), "the controller did not end well");
    Ok(report::end(&tally, &seen))
}

fn expect_few_lines(tally: &Tally, growth: &Growth) {
    // No second may have more than 100; an interval has parts of two at its ends.
    let most = LINES_A_SECOND * growth.seconds.max(1.0) + OF_ITSELF as f64;
    tally.expect(
        growth.lines as f64 <= most,
        &format!("log: {} lines in {:.2} s", growth.lines, growth.seconds),
    );
}

fn expect_room(tally: &Tally, log: &LogWatch, lasted: Duration) {
    let hours = (lasted.as_secs_f64() / HOUR).max(1.0);
    let minutes = lasted.as_secs() / MINUTE.as_secs() + 1;
    println!(
        "log: {} bytes, {:.0} an hour at this pace; {} lines, {} of them tell how many were left out",
        log.bytes,
        log.bytes as f64 / lasted.as_secs_f64() * HOUR,
        log.lines,
        log.left_out
    );
    tally.expect(
        log.bytes as f64 <= BYTES_AN_HOUR * hours,
        &format!("log: {} bytes in {lasted:?}", log.bytes),
    );
    tally.expect(
        (1..=minutes).contains(&log.left_out),
        &format!("log: lines were left out {} times in {lasted:?}", log.left_out),
    );
}

fn expect_settled(tally: &Tally, seen: &[Footprint]) {
    let settled = SETTLED.min(seen.len() / 2);
    let (Some(settled), Some(last)) = (settled.checked_sub(1).and_then(|at| seen.get(at)), seen.last())
    else {
        println!("too short to tell whether memory grows: {WITHOUT_TIME}");
        return;
    };
    for (what, settled, last) in
        [("RSS", settled.resident_kib, last.resident_kib), ("own memory", settled.own_kib, last.own_kib)]
    {
        let percent = 100.0 * (last as f64 / settled as f64 - 1.0);
        println!("{what}: {settled} kB when it had settled, {last} kB at the end, {percent:+.1}%");
        tally.expect(percent.abs() <= PERCENT, &format!("{what}: by {percent:+.1}%"));
    }
    for (what, settled, last) in [
        ("descriptors", settled.descriptors, last.descriptors),
        ("programs", settled.programs, last.programs),
        ("maps", settled.maps, last.maps),
        ("pins", settled.pins, last.pins),
    ] {
        tally.expect(settled == last, &format!("{what}: {settled} when settled, {last} at the end"));
    }
}
