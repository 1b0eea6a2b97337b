//! A line a minute, and the table at the end.

use std::time::Duration;

use crate::footprint::Footprint;
use crate::log_watch::LogWatch;
use crate::tally::{Event, Tally};

/// What each line shows besides the counts of events.
const FOOTPRINT: [&str; 10] =
    ["RSS kB", "own kB", "fds", "programs", "maps", "pins", "processes", "lines", "most/s", "bytes"];

type Value = fn(&Footprint) -> u64;

/// Since the beginning: minutes and seconds.
pub fn clock_face(since: Duration) -> String {
    format!("{:02}:{:02}", since.as_secs() / 60, since.as_secs() % 60)
}

pub fn heading(events: &[Event]) {
    print!("{:>6}", "time");
    for name in events.iter().map(|event| event.name()).chain(FOOTPRINT) {
        print!(" {name:>9}");
    }
    println!();
}

/// Everything since the beginning, and what is held now.
pub fn line(tally: &Tally, events: &[Event], footprint: &Footprint, log: &LogWatch) {
    print!("{:>6}", clock_face(tally.begun().elapsed()));
    let counts = tally.counts();
    for event in events {
        print!(" {:>9}", counts[*event as usize]);
    }
    let Footprint { resident_kib, own_kib, descriptors, programs, maps, pins, processes } = footprint;
    print!(
        " {resident_kib:>9} {own_kib:>9} {descriptors:>9} {programs:>9} {maps:>9} {pins:>9} {processes:>9}"
    );
    println!(" {:>9} {:>9.0} {:>9}", log.lines, log.most_lines_a_second, log.bytes);
}

/// Whether nothing was broken.
pub fn end(tally: &Tally, footprints: &[Footprint]) -> bool {
    println!("\n{:<12} {:>9} {:>9} {:>9} {:>9}", "", "first", "least", "most", "last");
    let values: [(&str, Value); 7] = [
        ("RSS kB", |footprint| footprint.resident_kib),
        ("own kB", |footprint| footprint.own_kib),
        ("fds", |footprint| footprint.descriptors as u64),
        ("programs", |footprint| footprint.programs as u64),
        ("maps", |footprint| footprint.maps as u64),
        ("pins", |footprint| footprint.pins as u64),
        ("processes", |footprint| footprint.processes as u64),
    ];
    for (name, value) in values {
        let all = || footprints.iter().map(value);
        let [first, least, most, last] = [all().next(), all().min(), all().max(), all().next_back()]
            .map(|value| value.map_or_else(String::new, |value| value.to_string()));
        println!("{name:<12} {first:>9} {least:>9} {most:>9} {last:>9}");
    }
    let broken = tally.all_broken();
    if broken.is_empty() {
        println!("every invariant held");
    } else {
        println!("broken, by the time since the beginning:");
        broken.iter().for_each(|line| println!("  {line}"));
    }
    broken.is_empty()
}
