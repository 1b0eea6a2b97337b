//! Everything at once: knocks, guesses, scans, a flood, reloads, kills, interfaces that flap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use knock_tests::lab::{Flood, Lab, Machine};
use knock_tests::site::{CommandLog, SSH, Service, Site, Until, limit};

use crate::footprint::{Footprint, Footprints, descriptors, processes};
use crate::knockers::{KNOCKERS, Knocked, Knocker, SOURCES, source};
use crate::log_watch::LogWatch;
use crate::operator::Operator;
use crate::report;
use crate::strangers::{self, PUBLIC, guess_until, scan_until};
use crate::tally::{Event, Tally};
use crate::{Length, MINUTE, WITHOUT_TIME};

const RELOAD: Duration = Duration::from_secs(5);
const KILL: Duration = Duration::from_secs(20);
const FLAP: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(1);
/// Besides the minutes: to begin and to end.
const ROOM: Duration = Duration::from_secs(600);
/// A controller's memory at the end of its life may be so much more at the end than at the beginning.
const GROWTH: f64 = 1.1;
/// Interfaces that are filtered, and programs on each. Each keeps those of the controller that attached it; the present one
/// has its own besides. With each goes a map of constants.
const INTERFACES: usize = 2;
const PROGRAMS: usize = 2;
/// Least lives before and after that to compare.
const LIVES: usize = 3;

/// Whether every invariant held. `step` is how far the machine's clock is stepped.
///
/// # Errors
/// When something can't be looked at.
pub fn run(length: &Length, flood: u32, step: Option<Duration>) -> Result<bool> {
    let site = Site::over(Lab::lasting(length.of_time + ROOM)?, "");
    let (tally, knocked) = (Arc::new(Tally::begin()), Arc::new(Knocked::default()));
    let server = site.lab.namespace(Machine::Server);
    let _door = {
        let (tally, knocked) = (Arc::clone(&tally), Arc::clone(&knocked));
        Service::watched(server, SSH, move |peer| {
            tally
                .expect(knocked.may_be_in(peer), &format!("{peer}: was let in, and has not knocked of late"));
        })
    };
    let _public = Service::start(&site.lab, PUBLIC);
    site.add_to_client((0..SOURCES).map(source));
    let commands = CommandLog::create(&site.file("commands"));
    let cable = RwLock::new(());
    let mut operator = Operator::begin(&site, &tally, &cable, commands.commands());
    let (mut footprints, mut seen) = (Footprints::default(), Vec::new());
    let before = footprints.look(&site, operator.controller()?)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let meanwhile = Until(&over);
        for number in 0..KNOCKERS {
            let (site, tally, knocked, cable) = (&site, &*tally, &*knocked, &cable);
            let knocker = Knocker { site, tally, knocked, cable, number };
            scope.spawn(|| { knocker }.come_until(&over));
        }
        scope.spawn(|| guess_until(&over, &site, &tally, &cable));
        scope.spawn(|| scan_until(&over, &site));
        let flood = (flood > 0).then(|| Flood::start(&site.lab, strangers::flood(), flood)).transpose()?;
        operate(&mut operator, &site, &tally, length, step, &mut footprints, &mut seen)?;
        if let Some(flood) = flood {
            println!("forged packets a second: {:.0}", flood.end()?);
        }
        drop(meanwhile);
        anyhow::Ok(())
    })?;
    let stopped = within(limit(), || commands.is_over());
    tally.expect(stopped, "a stop command has not run");
    let out_of_turn = commands.out_of_turn();
    tally.expect(out_of_turn.is_empty(), &format!("commands out of turn: {out_of_turn:?}"));
    let ended = within(limit(), || processes(&site).is_ok_and(|count| count == before.processes));
    tally.expect(ended, "a process of a command is left");
    operator.reload_as_begun();
    seen.push(footprints.look(&site, operator.controller()?)?);
    let after = seen.last().copied().unwrap_or_default();
    for (what, before, after, more) in [
        ("programs", before.programs, after.programs, PROGRAMS * INTERFACES),
        ("maps", before.maps, after.maps, INTERFACES),
        ("pins", before.pins, after.pins, 0),
    ] {
        let expected = before..=before + more;
        let line =
            format!("{what}: {before} at the beginning, {after} at the end, at most {more} more expected");
        tally.expect(expected.contains(&after), &line);
    }
    operator.detach();
    let nothing_left = within(limit(), || footprints.left().is_ok_and(|left| left == (0, 0)));
    tally.expect(nothing_left, &format!("programs and maps that are left: {:?}", footprints.left()?));
    let none_left = within(limit(), || processes(&site).is_ok_and(|count| count == 0));
    tally.expect(none_left, "a process is left in the server's network namespace");
    Ok(report::end(&tally, &seen))
}

/// Until the time is over; says each minute how things are.
fn operate(
    operator: &mut Operator,
    site: &Site,
    tally: &Tally,
    length: &Length,
    step: Option<Duration>,
    footprints: &mut Footprints,
    seen: &mut Vec<Footprint>,
) -> Result<()> {
    let mut log = LogWatch::begin(site.file("knock.log"));
    let begun = Instant::now();
    let mut due = [RELOAD, KILL, FLAP, STEP, MINUTE].map(|every| (begun + every, every));
    let mut is_due = |which: usize| {
        let (next, every) = &mut due[which];
        let now = Instant::now();
        let reached = now >= *next;
        if reached {
            *next = now + *every;
        }
        reached
    };
    let (mut fewest, mut first_fewest) = (usize::MAX, None);
    let mut memory = Vec::new();
    report::heading(&Event::ALL);
    while begun.elapsed() < length.of_time && !length.interrupted.load(Ordering::Relaxed) {
        let looked = Instant::now();
        log.look()?;
        fewest = fewest.min(descriptors(operator.controller()?)?);
        if is_due(0) {
            operator.reload();
        }
        if is_due(1) {
            if operator.age() > KILL / 2 {
                memory.push(footprints.look(site, operator.controller()?)?.own_kib);
            }
            operator.kill();
        }
        if is_due(2) {
            operator.flap();
        }
        if let Some(by) = step
            && is_due(3)
        {
            operator.step_clock(by)?;
        }
        if is_due(4) {
            operator.reload_as_begun();
            let mut footprint = footprints.look(site, operator.controller()?)?;
            footprint.descriptors = fewest.min(footprint.descriptors);
            let first = *first_fewest.get_or_insert(footprint.descriptors);
            tally.expect(
                footprint.descriptors == first,
                &format!(
                    "descriptors: {} at least in this minute, {first} in the first",
                    footprint.descriptors
                ),
            );
            fewest = usize::MAX;
            report::line(tally, &Event::ALL, &footprint, &log);
            seen.push(footprint);
        }
        thread::sleep(LOOK.saturating_sub(looked.elapsed()));
    }
    log.look()?;
    report::line(tally, &Event::ALL, &footprints.look(site, operator.controller()?)?, &log);
    expect_flat(tally, &memory);
    Ok(())
}

/// What each controller had when it was killed, in their order.
fn expect_flat(tally: &Tally, memory: &[u64]) {
    let few = (memory.len() / 3).max(LIVES);
    if memory.len() < 2 * few {
        println!("too short to tell whether memory grows: {WITHOUT_TIME}");
        return;
    }
    let mean = |values: &[u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
    let (first, last) = (mean(&memory[..few]), mean(&memory[memory.len() - few..]));
    println!(
        "a controller's memory when it was killed: {first:.0} kB in the first third, {last:.0} kB in the last"
    );
    tally.expect(last < first * GROWTH, &format!("memory: {first:.0} kB first, {last:.0} kB last"));
}

fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    condition()
}
