//! `[door_defaults]` and `[doors]`.

use knock_common::flags::{FlagsCondition, TcpFlags};
use knock_common::port::{Port, Protocol};
use toml::Value;

use super::document::Document;
use super::knockd::{At, Commands, KnockdDoor, Run, Secret};
use super::notes::Notes;
use super::offer::{self, Offer};
use super::options::absolute;
use super::timeouts::{CMD_TIMEOUT, SEQ_TIMEOUT};
use crate::config::flags::format_flags;
use crate::config::{Conflict, DoorName, Knocks, conflict};

pub(super) fn write_defaults(document: &mut Document) {
    document.blank();
    document.section("door_defaults");
    document.comment("knockd lets a command run for as long as it takes.");
    document.setting("command_time_limit", "1d");
}

pub(super) fn write(doors: &[KnockdDoor], names: &[DoorName], document: &mut Document, notes: &mut Notes) {
    report_conflicts(doors, notes);
    let offers = offer::offers(doors, names);
    for ((door, name), offer) in doors.iter().zip(names).zip(&offers) {
        document.blank();
        document.set_origin(Some(door.place));
        write_door(door, name, offer.as_ref(), document, notes);
    }
    document.set_origin(None);
}

fn write_door(
    door: &KnockdDoor,
    name: &DoorName,
    offer: Option<&Offer<'_>>,
    document: &mut Document,
    notes: &mut Notes,
) {
    document.comment(&format!("[{}], line {} of knockd's file.", door.name.escape_debug(), door.place.line));
    // A dot would begin a section within.
    let quote = if name.as_str().contains('.') { "\"" } else { "" };
    document.section(&format!("doors.{quote}{name}{quote}"));
    document.set_origin(Some(door.secret.place));
    match &door.secret.value {
        Secret::Sequence(sequence) => {
            document.setting("sequence", sequence.steps().iter().map(step).collect::<Vec<_>>());
        }
        Secret::OneTime(path) => {
            let path = absolute(path, door.secret.place, "one_time_sequences", notes);
            document.setting("one_time_sequences", path);
        }
    }
    SEQ_TIMEOUT.write(door.seq_timeout.as_ref(), document, notes);
    write_flags(door, name, document, notes);
    if let Some(target) = &door.target {
        document.set_origin(Some(target.place));
        document.setting("target", vec![target.value.to_string()]);
    }
    document.set_origin(Some(door.place));
    write_commands(door, name, document, notes);
    if let Some(offer) = offer {
        offer::write(offer, document);
    }
}

fn step(port: &Port) -> Value {
    match port.protocol {
        Protocol::Tcp => Value::Integer(port.number.get().into()),
        Protocol::Udp => Value::String(port.to_string()),
    }
}

fn write_flags(door: &KnockdDoor, name: &DoorName, document: &mut Document, notes: &mut Notes) {
    let flags = door.flags.as_ref().map_or(FlagsCondition::ANY, |flags| flags.value);
    let has_tcp_step = match &door.secret.value {
        Secret::Sequence(sequence) => sequence.steps().iter().any(|step| step.protocol == Protocol::Tcp),
        // Nobody knows before it is read.
        Secret::OneTime(_) => true,
    };
    let written = format_flags(flags);
    document.set_origin(Some(door.flags.as_ref().map_or(door.place, |flags| flags.place)));
    document.setting("tcpflags", written.as_str());
    if let Some(line) = door.flags.as_ref().filter(|_| has_tcp_step && !flags.met_by(TcpFlags::SYN)) {
        notes.warn(
            line.place,
            format!(
                "the client \"knock\" sends TCP knocks with SYN alone, which {written:?} does not take: with it door {:?} opens \
                 neither here nor under knockd",
                name.as_str()
            ),
            "write tcpflags = syn to have it open",
        );
        document.comment("The client \"knock\" sends TCP knocks with SYN alone, which this does not take. To have it open, take instead:");
        document.offer("tcpflags", "syn");
    }
}

fn write_commands(door: &KnockdDoor, name: &DoorName, document: &mut Document, notes: &mut Notes) {
    let commands = &door.commands;
    let (v4, v6) = (commands.for_ipv4(), commands.for_ipv6());
    warn_never_run(commands, name, notes);
    if v4.is_none() && v6.is_none() {
        document.comment("It runs nothing and is only logged. A door of ours must do something.");
        document.setting("start_command", ":");
        return;
    }
    let (start, stop) = parts(v4);
    let (start_6, stop_6) = parts(v6);
    if let Some(start) = start {
        document.setting("start_command", start);
    }
    if start_6 != start {
        document.setting("start_command_6", start_6.unwrap_or_default());
    }
    if let Some(stop) = stop {
        document.setting("stop_command", stop);
    }
    if stop_6 != stop {
        document.setting("stop_command_6", stop_6.unwrap_or_default());
    }
    if stop.or(stop_6).is_some() {
        CMD_TIMEOUT.write(commands.cmd_timeout.as_ref(), document, notes);
        document.comment(
            "Who knocks again before the stop command is run puts it off; knockd runs both commands again.",
        );
    }
}

fn parts(run: Option<Run<'_>>) -> (Option<&str>, Option<&str>) {
    (run.map(|run| run.start), run.and_then(|run| run.stop))
}

fn warn_never_run(commands: &Commands, name: &DoorName, notes: &mut Notes) {
    let runs =
        |run: Option<Run<'_>>, line: &At<String>| run.and_then(|run| run.stop) == Some(line.value.as_str());
    for line in [&commands.stop, &commands.stop_6].into_iter().flatten() {
        let is_run = runs(commands.for_ipv4(), line) || runs(commands.for_ipv6(), line);
        if !is_run && !line.value.is_empty() {
            notes.warn(
                line.place,
                format!("knockd never runs this stop command of door {:?}, so it is left out", name.as_str()),
                "give the door a start command",
            );
        }
    }
}

/// Doors that knockd takes and our configuration can't.
fn report_conflicts(doors: &[KnockdDoor], notes: &mut Notes) {
    for (index, door) in doors.iter().enumerate() {
        let found = doors[..index].iter().find_map(|other| {
            let (one, two) = (knocks(other)?, knocks(door)?);
            conflict(&one, &two).map(|conflict| (other, conflict))
        });
        let named = |door: &KnockdDoor| format!("{:?} (line {})", door.name, door.secret.place.line);
        let (message, help) = match found {
            None => continue,
            Some((other, Conflict::SameSequence)) => (
                format!("doors {} and {} have the same sequence", named(other), named(door)),
                "give one of them another, or make them one door that runs both commands",
            ),
            Some((other, Conflict::BeginsWith { first_is_longer })) => {
                let (longer, shorter) = if first_is_longer { (other, door) } else { (door, other) };
                (
                    format!(
                        "door {} could never open here: its sequence begins with all of that of door {}",
                        named(longer),
                        named(shorter)
                    ),
                    "give one of them a sequence that begins otherwise",
                )
            }
        };
        notes.error(door.secret.place, message, help);
    }
}

fn knocks(door: &KnockdDoor) -> Option<Knocks<'_>> {
    let Secret::Sequence(sequence) = &door.secret.value else { return None };
    let flags = door.flags.as_ref().map_or(FlagsCondition::ANY, |flags| flags.value);
    let target = door.target.as_ref().map_or(&[][..], |target| std::slice::from_ref(&target.value));
    Some(Knocks { sequence, flags, target })
}
