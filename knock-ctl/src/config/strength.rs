//! How long somebody who knows nothing takes to guess their way in.
//!
//! Counted in the attacker's favour. Whoever guesses tries the likely shapes first, so a sequence is as strong as the
//! smallest set it is in. A wrong port costs them nothing but the attempt, and the same packet may begin the next one: in a
//! stream in which every sequence occurs once (a de Bruijn sequence) each packet tries another. Half of all are tried on
//! average. Knocks from several addresses at once are no faster than from one, and no slower.

use std::collections::BTreeSet;
use std::fmt;

use knock_common::port::{Port, Protocol};

use super::Config;
use super::sequence::Sequence;

/// Packets a second, of the attacker that durations are told for: a gigabit line's worth.
const PACKETS_A_SECOND: f64 = 1e6;

/// Who that is.
pub(super) const BLIND: &str = "a blind attacker who sends 1,000,000 packets a second";

/// What a step's port may be, of one protocol.
const PORTS: f64 = 65_535.0;

/// Sequences of manuals, tutorials and recipes, whatever the protocol of their steps: knockd's manual page and its
/// many copies, the nftables and Arch wikis, csf, the iptables `recent` recipes, and this program's own documentation.
const PUBLISHED: &[&[u16]] = &[
    &[7000, 8000, 9000],
    &[2222, 3333, 4444],
    &[1111, 2222, 3333],
    &[1111, 2222, 3333, 4444],
    &[1000, 2000, 3000],
    &[1000, 2000, 3000, 4000],
    &[2000, 3000, 4000],
    &[10000, 20000, 30000],
    &[100, 200, 300],
    &[100, 200, 300, 400],
    &[123, 234, 345],
    &[123, 234, 345, 456],
    &[1234, 2345, 3456],
    &[1234, 5678, 9012],
    &[12345, 23456, 34567],
    &[8881, 7777, 9991],
    &[5438, 3428, 3280, 4479],
    &[31207, 5481, 60122],
];

/// Whether it is in [`PUBLISHED`], forwards or backwards.
pub(super) fn is_published(sequence: &Sequence) -> bool {
    let numbers = numbers(sequence);
    PUBLISHED.iter().any(|known| known.iter().eq(&numbers) || known.iter().rev().eq(&numbers))
}

/// What is special about a sequence's ports, so that it is guessed before others; the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One port again and again.
    Repeated,
    /// Each port next to the one before, all in one direction.
    Consecutive,
    /// At least three, all equally far apart.
    Even {
        ascending: bool,
    },
    Ascending,
    /// Nothing that is known here.
    Plain,
}

impl Shape {
    pub(super) fn of(sequence: &Sequence) -> Self {
        let numbers = numbers(sequence);
        let differences: Vec<i32> =
            numbers.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
        let Some(&first) = differences.first() else { return Self::Plain };
        match (first, differences.iter().all(|&difference| difference == first)) {
            (0, true) => Self::Repeated,
            (-1 | 1, true) => Self::Consecutive,
            (_, true) if differences.len() > 1 => Self::Even { ascending: first > 0 },
            _ if differences.iter().all(|&difference| difference > 0) => Self::Ascending,
            _ => Self::Plain,
        }
    }

    /// How many sequences of so many steps have it, of one protocol.
    fn sequences(self, steps: usize) -> f64 {
        let all = PORTS.powi(steps as i32);
        match self {
            Self::Repeated | Self::Consecutive => PORTS,
            Self::Even { .. } => PORTS * PORTS,
            Self::Ascending => all / (1..=steps).map(|step| step as f64).product::<f64>(),
            Self::Plain => all,
        }
    }

    /// As it is told.
    fn reason(self) -> &'static str {
        match self {
            Self::Repeated => "since all its ports are one",
            Self::Consecutive => "since its ports are neighbours",
            Self::Even { .. } => "since its ports are evenly spaced",
            Self::Ascending => "since its ports ascend",
            Self::Plain => "if its ports were chosen at random",
        }
    }
}

fn numbers(sequence: &Sequence) -> Vec<u16> {
    sequence.steps().iter().map(|step| step.number.get()).collect()
}

/// Of one door's sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Strength {
    /// `None`: it is published.
    shape: Option<Shape>,
    /// How many sequences are as likely as this one.
    sequences: f64,
    /// After how many packets a blind attacker has opened the door, on average.
    packets: f64,
    /// What does not belong to a door does not reset, which makes that less than the sequence is worth.
    not_strict: bool,
}

/// What the rules leave to somebody who guesses.
pub(super) struct Guessing {
    /// How many knock ports there are, where no other port resets an attempt.
    knock_ports: Option<usize>,
}

impl Guessing {
    pub(super) fn under(config: &Config) -> Self {
        let knock_ports = || {
            let steps = config.doors.iter().filter_map(|door| door.sequence.next()).flat_map(Sequence::steps);
            steps.copied().collect::<BTreeSet<Port>>().len()
        };
        Self { knock_ports: (!config.filter.strict).then(knock_ports) }
    }

    pub(super) fn strength(&self, sequence: &Sequence) -> Strength {
        let shape = (!is_published(sequence)).then(|| Shape::of(sequence));
        let steps = sequence.steps().len();
        let protocols = protocols(sequence);
        let sequences = shape.map_or(1.0, |shape| shape.sequences(steps) * protocols.powi(steps as i32));
        let strictly = (sequences / 2.0).max(1.0);
        // A scan has a hit on each of them, and what lies between does not count.
        let loosely = self
            .knock_ports
            .map(|ports| PORTS * protocols * (ports as f64).powi(steps as i32 - 1) / 2.0)
            .filter(|&loosely| loosely < strictly);
        Strength { shape, sequences, packets: loosely.unwrap_or(strictly), not_strict: loosely.is_some() }
    }
}

impl Strength {
    /// After how many packets the first of several doors is open, on average.
    pub(super) fn packets_for_any(doors: &[Self]) -> f64 {
        let weakest = doors.iter().map(|door| door.packets).fold(f64::INFINITY, f64::min);
        // Of n doors alike, the first of n places in one row: at 1/(n + 1) of it, where a single one is at 1/2.
        let all: f64 = doors.iter().map(|door| 0.5 / door.packets).sum();
        1.0 / (all + 0.5 / weakest)
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shape) = self.shape else {
            return f.write_str("none, since the sequence is published: a blind attacker tries it first.");
        };
        let reason = shape.reason();
        let bits = self.sequences.log2().round();
        let since = if self.not_strict { ", with strict = false" } else { "" };
        let time = needed(self.packets);
        write!(f, "{bits} bits, {reason}; {BLIND} needs {time} on average{since}.")
    }
}

/// 2 where the steps are of both protocols. Where they are of one, that is tried first.
fn protocols(sequence: &Sequence) -> f64 {
    let steps = sequence.steps();
    let udp = steps.iter().filter(|step| step.protocol == Protocol::Udp).count();
    if udp == 0 || udp == steps.len() { 1.0 } else { 2.0 }
}

/// How many bits of a sequence are left to guess for somebody who knows its first steps.
pub(super) fn bits_behind(sequence: &Sequence, known: usize) -> f64 {
    (PORTS * protocols(sequence)).log2() * (sequence.steps().len() - known) as f64
}

/// The time that so many packets take, in words, to two digits.
pub(super) fn needed(packets: f64) -> String {
    const YEAR: f64 = 365.25 * 86_400.0;
    const UNITS: [(f64, &str); 7] = [
        (1e9 * YEAR, "billion years"),
        (1e6 * YEAR, "million years"),
        (YEAR, "years"),
        (86_400.0, "days"),
        (3_600.0, "hours"),
        (60.0, "minutes"),
        (1.0, "seconds"),
    ];
    let seconds = packets / PACKETS_A_SECOND;
    if seconds >= 1e12 * YEAR {
        return "more than a trillion years".to_owned();
    }
    // Two of a unit at least: "100 minutes" rather than "1.7 hours", and no "1 days".
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| seconds >= 2.0 * unit) else {
        return "less than 2 seconds".to_owned();
    };
    let count = seconds / unit;
    if count < 9.95 {
        return format!("{:.1} {name}", count);
    }
    let step = 10_f64.powi(count.log10().floor() as i32 - 1);
    format!("{} {name}", grouped((count / step).round() * step))
}

/// With commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
