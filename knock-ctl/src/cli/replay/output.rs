//! A line for each packet, and what they come to.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use knock_common::reason::{Reason, Verdict};
use serde::Serialize;

use crate::cli::door_or_port::port_name;
use crate::replay::{Effect, Outcome, Replayed};

/// One packet, as `--json` has it.
#[derive(Debug, Serialize)]
struct PacketLine<'a> {
    version: u32,
    /// RFC 3339.
    time: String,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    port: Option<String>,
    /// `None`: it was not judged, as it leaves or was cut short.
    verdict: Option<&'static str>,
    /// A reason, "leaves" or "cut_short".
    reason: &'static str,
    effects: Vec<EffectLine<'a>>,
}

#[derive(Debug, Serialize)]
struct EffectLine<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
}

pub(super) fn write_packet(output: &mut impl Write, packet: &Replayed, json: bool) -> io::Result<()> {
    let line = PacketLine::of(packet);
    if json {
        serde_json::to_writer(&mut *output, &line)?;
        return writeln!(output);
    }
    let address =
        |address: Option<IpAddr>| address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let mut words = vec![
        line.time,
        address(line.source),
        address(line.destination),
        line.port.unwrap_or_else(|| "-".to_owned()),
        line.verdict.unwrap_or("-").to_owned(),
        line.reason.to_owned(),
    ];
    words.extend(packet.effects.iter().map(Effect::to_string));
    writeln!(output, "{}", words.join("  "))
}

impl<'a> PacketLine<'a> {
    fn of(packet: &'a Replayed) -> Self {
        let Replayed { time, ends, outcome, effects } = packet;
        let port = ends.as_ref().and_then(|ends| ends.port);
        let verdict = match outcome {
            Outcome::Judged(reason) => Some(verdict(*reason)),
            Outcome::Leaves | Outcome::CutShort => None,
        };
        Self {
            version: 1,
            time: rfc3339(*time),
            source: ends.as_ref().map(|ends| ends.source),
            destination: ends.as_ref().map(|ends| ends.destination),
            port: port.map(|(protocol, number)| port_name(protocol, number)),
            verdict,
            reason: reason(*outcome),
            effects: effects.iter().map(EffectLine::of).collect(),
        }
    }
}

impl<'a> EffectLine<'a> {
    fn of(effect: &'a Effect) -> Self {
        let (event, door, step) = match effect {
            Effect::Step { door, step } => ("stage", Some(door), Some(*step)),
            Effect::Reset => ("reset", None, None),
            Effect::Opened { door } => ("open", Some(door), None),
            Effect::Extended { door } => ("refresh", Some(door), None),
            Effect::Closed { door } => ("close", Some(door), None),
            Effect::GrantRefused { door } => ("grant_refused", Some(door), None),
            Effect::Held => ("source_held", None, None),
        };
        Self { event, door: door.map(String::as_str), step }
    }
}

const fn verdict(reason: Reason) -> &'static str {
    match reason.verdict() {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
    }
}

const fn reason(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Judged(reason) => reason.name(),
        Outcome::Leaves => "leaves",
        Outcome::CutShort => "cut_short",
    }
}

/// The time is before the year 10000.
fn rfc3339(time: Duration) -> String {
    humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + time).to_string()
}

/// What the packets of a capture come to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    packets: u64,
    pass: u64,
    drop: u64,
    leaving: u64,
    cut_short: u64,
    by_reason: BTreeMap<Reason, u64>,
    opened: BTreeMap<String, u64>,
    pub(super) backwards: u64,
}

/// As `--json` has it.
#[derive(Serialize)]
struct SummaryLine<'a> {
    version: u32,
    summary: SummaryReport<'a>,
}

#[derive(Serialize)]
struct SummaryReport<'a> {
    packets: u64,
    pass: u64,
    drop: u64,
    /// Every reason.
    by_reason: BTreeMap<&'static str, u64>,
    leaving: u64,
    cut_short: u64,
    stamped_backwards: u64,
    opened: &'a BTreeMap<String, u64>,
}

impl Summary {
    pub(super) fn count(&mut self, packet: &Replayed) {
        self.packets += 1;
        match packet.outcome {
            Outcome::Judged(reason) => {
                *self.by_reason.entry(reason).or_default() += 1;
                match reason.verdict() {
                    Verdict::Pass => self.pass += 1,
                    Verdict::Drop => self.drop += 1,
                }
            }
            Outcome::Leaves => self.leaving += 1,
            Outcome::CutShort => self.cut_short += 1,
        }
        for effect in &packet.effects {
            if let Effect::Opened { door } = effect {
                *self.opened.entry(door.clone()).or_default() += 1;
            }
        }
    }

    pub(super) fn write(&self, output: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            let count = |reason: &Reason| self.by_reason.get(reason).copied().unwrap_or(0);
            let summary = SummaryReport {
                packets: self.packets,
                pass: self.pass,
                drop: self.drop,
                by_reason: Reason::ALL.iter().map(|reason| (reason.name(), count(reason))).collect(),
                leaving: self.leaving,
                cut_short: self.cut_short,
                stamped_backwards: self.backwards,
                opened: &self.opened,
            };
            serde_json::to_writer(&mut *output, &SummaryLine { version: 1, summary })?;
            return writeln!(output);
        }
        writeln!(output, "\n{} packets: {} pass, {} drop", self.packets, self.pass, self.drop)?;
        for (reason, count) in &self.by_reason {
            writeln!(output, "  {:<5}{:<15}{count}", verdict(*reason), reason.name())?;
        }
        let others = [
            (self.leaving, "left this machine and were noted"),
            (self.cut_short, "were cut short by the capture within their headers, and not judged"),
            (self.backwards, "were stamped earlier than one before them, and judged as if at the same time"),
        ];
        for (count, what) in others.iter().filter(|(count, _)| *count != 0) {
            writeln!(output, "  {count} {what}")?;
        }
        for (door, count) in &self.opened {
            writeln!(output, "  door {door} opened {count} times")?;
        }
        Ok(())
    }
}
