//! Reads the section of a door.

use std::net::IpAddr;
use std::time::Duration;

use knock_common::flags::FlagsCondition;
use knock_common::port::{Port, PortRange};

use super::address;
use super::command::{self, CommandLine, DoorCommands, PerFamily};
use super::conflict::Knocks;
use super::door::{Door, DoorName, DoorSequence, OpenFor, Opens};
use super::flags;
use super::one_time::{self, Line, LineError, OneTimeFile};
use super::ports;
use super::report::{Fault, Located, Report};
use super::scalar::{self, DAY, MILLISECOND};
use super::section::{self, Section};
use super::sequence::{self, Sequence};
use super::source::{Place, Sources};
use super::tree::{Entry, Node, Value};

const YEAR: Duration = Duration::from_secs(365 * DAY.as_secs());

/// A door as far as it could be read, with the places that checks across doors point to.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) place: Place,
    /// `None` when it is faulty or missing.
    pub(super) sequence: Option<DraftSequence>,
    /// Those that are not used.
    pub(super) one_time: Vec<DraftSequence>,
    /// The file says what the sequence is, rightly or wrongly.
    pub(super) sequence_given: bool,
    /// `None` when they are faulty.
    pub(super) conditions: Option<Conditions>,
    pub(super) opens: Vec<Located<PortRange>>,
    pub(super) revokes: Vec<Located<String>>,
    /// `None` when anything in the section is faulty.
    pub(super) door: Option<Door>,
}

pub(super) struct DraftSequence {
    pub(super) place: Place,
    pub(super) steps: Vec<Place>,
    pub(super) sequence: Sequence,
}

/// What a packet must meet besides its port to be a knock.
pub(super) struct Conditions {
    pub(super) flags: FlagsCondition,
    pub(super) target: Vec<IpAddr>,
}

impl Draft {
    /// What its sequences are, each with its place. Nothing where conditions are faulty, which is reported already: what they
    /// will be is unknown.
    pub(super) fn knocks(&self) -> impl Iterator<Item = (Place, Knocks<'_>)> {
        self.conditions.iter().flat_map(|Conditions { flags, target }| {
            self.sequences()
                .map(|draft| (draft.place, Knocks { sequence: &draft.sequence, flags: *flags, target }))
        })
    }

    /// The door itself, where it has no sound sequence.
    pub(super) fn sequence_place(&self) -> Place {
        self.sequences().next().map_or(self.place, |sequence| sequence.place)
    }

    /// All that may open it, now or later.
    pub(super) fn sequences(&self) -> impl Iterator<Item = &DraftSequence> {
        self.sequence.iter().chain(&self.one_time)
    }
}

/// Reads all keys of a door from a section of kind `Door`.
pub(super) fn read_door(
    name: &str,
    place: Place,
    mut section: Section<'_>,
    sources: &mut Sources,
    report: &mut Report,
) -> Draft {
    let errors_before = report.error_count();
    let parsed_name = name.parse::<DoorName>();
    if let Err(error) = parsed_name {
        let help = "rename it, as in [doors.ssh]";
        report.error(Fault::new(place, format!("{name:?} cannot be a door's name: {error}"), help));
    }

    let sequence_entry = section.either(["sequence", "sequence_file", "one_time_sequences"], report);
    let mut sequence_given = sequence_entry.is_some();
    let (mut one_time_file, mut one_time) = (None, Vec::new());
    let sequence = sequence_entry.and_then(|entry| match entry.key.as_str() {
        "sequence" => read_sequence(entry, report),
        "sequence_file" => read_sequence_file(entry, sources, report),
        _ => {
            one_time_file = read_one_time_file(entry, name, sources, &mut one_time, report);
            None
        }
    });
    let seq_timeout = section.read("seq_timeout", report, scalar::duration(MILLISECOND..=DAY));
    let same_ttl = section.read("same_ttl", report, scalar::boolean);
    let errors_before_conditions = report.error_count();
    let flags = section.read("tcpflags", report, flags::flags).unwrap_or(FlagsCondition::CONNECT);
    let target = section.read_list("target", report, |node, _| address::address(node));
    let target: Vec<IpAddr> = target.into_iter().map(|located| located.value).collect();
    let conditions = (report.error_count() == errors_before_conditions)
        .then(|| Conditions { flags, target: target.clone() });

    let (opens, open_ranges) = read_opens(&mut section, "opens", report);
    let open_for = section.read("open_for", report, open_for);
    let connections = section.read("connections", report, scalar::count(0..=u32::MAX));
    let revokes = section.read_list("revokes", report, |node, _| {
        scalar::text(node, "the name of a door", "it in quotes").map(str::to_owned)
    });
    let commands = read_commands(&mut section, report);
    let meant = section.finish(report);
    sequence_given |= meant.iter().any(|key| key.starts_with("sequence"));

    let sound = report.error_count() == errors_before;
    let door_sequence = match one_time_file {
        Some(file) => Some(DoorSequence::OneTime(file)),
        None => sequence.as_ref().map(|draft| DoorSequence::Fixed(draft.sequence.clone())),
    };
    let door = match (parsed_name, door_sequence) {
        (Ok(name), Some(sequence)) if sound => Some(Door {
            name,
            sequence,
            seq_timeout: seq_timeout.unwrap_or(Duration::from_secs(10)),
            flags,
            same_ttl: same_ttl.unwrap_or(false),
            target,
            opens,
            open_for: open_for.unwrap_or(OpenFor::For(Duration::from_secs(30))),
            connections: connections.unwrap_or(0),
            revokes: revokes.iter().filter_map(|name| name.value.parse().ok()).collect(),
            commands,
        }),
        _ => None,
    };
    Draft {
        name: name.to_owned(),
        place,
        sequence,
        one_time,
        sequence_given,
        conditions,
        opens: open_ranges,
        revokes,
        door,
    }
}

/// A list of ports, or `["any"]`; and its ranges with their places.
pub(super) fn read_opens(
    section: &mut Section<'_>,
    key: &'static str,
    report: &mut Report,
) -> (Opens, Vec<Located<PortRange>>) {
    let entries = section.read_list(key, report, |node, _| match &node.value {
        Value::Text(text) if text == "any" => Ok(None),
        _ => ports::range(node).map(Some),
    });
    let count = entries.len();
    let any = entries.iter().find(|entry| entry.value.is_none()).map(|entry| entry.place);
    let ranges: Vec<_> = entries
        .into_iter()
        .filter_map(|Located { place, value }| value.map(|value| Located { place, value }))
        .collect();
    if let Some(place) = any {
        if count > 1 {
            let help = format!("write {key} = [\"any\"]");
            report.error(Fault::new(place, format!("{key}: \"any\" holds the other ports already"), help));
        }
        return (Opens::Any, ranges);
    }
    if let Some(first_beyond) = ranges.get(Opens::MAX_ENTRIES) {
        report.error(Fault::new(
            first_beyond.place,
            format!("{key}: {count} entries are more than {}", Opens::MAX_ENTRIES),
            "join neighbouring ports to ranges such as \"8000-8100/tcp\"",
        ));
    }
    (Opens::Ports(ranges.iter().map(|range| range.value).collect()), ranges)
}

pub(super) fn read_sequence(entry: &Entry, report: &mut Report) -> Option<DraftSequence> {
    let Value::Array(items) = &entry.node.value else {
        let example = "sequence = [31207, \"5481/udp\", 60122], with ports of your own";
        report.error(entry.node.not_a("a list of ports", example).of(&entry.key));
        return None;
    };
    let steps = items.iter().map(|node| (node.place, ports::step(node))).collect();
    assemble(entry.node.place, steps, report)
}

/// knockd's file. Appends what is not used in it.
fn read_one_time_file(
    entry: &Entry,
    door: &str,
    sources: &mut Sources,
    drafts: &mut Vec<DraftSequence>,
    report: &mut Report,
) -> Option<OneTimeFile> {
    let path = section::read_entry(entry, report, |node| {
        scalar::text(node, "the path of a file", "\"/etc/knock/ssh.sequences\"")
    })?;
    let path = sources.resolve_path(entry.place.source, path);
    let source = match sources.add_changing_file(&path, report) {
        Ok(source) => source,
        Err(error) => {
            let message = format!("{}: {}: {}", entry.key, path.display(), error.message);
            report.error(entry.node.fault(message, error.help));
            return None;
        }
    };
    let mut unused = Vec::new();
    for Line { offset, sequence } in one_time::lines(sources.text(source), door) {
        match sequence {
            Ok(one_time) => {
                let place = Place::at(source, offset);
                let steps = one_time.sequence.steps().iter().map(|_| place).collect();
                drafts.push(DraftSequence { place, steps, sequence: one_time.sequence.clone() });
                unused.push(one_time);
            }
            Err(LineError::Step { offset, number, error }) => {
                let fault = Fault::new(Place::at(source, offset), error.to_string(), error.help());
                report.error(fault.of(&format!("step {number}")));
            }
            Err(LineError::Sequence(error)) => {
                report.error(Fault::new(Place::at(source, offset), error.to_string(), error.help()));
            }
        }
    }
    Some(OneTimeFile { path, unused })
}

/// The file holds the steps alone, in knockd's notation.
fn read_sequence_file(entry: &Entry, sources: &mut Sources, report: &mut Report) -> Option<DraftSequence> {
    let key = &entry.key;
    let path = section::read_entry(entry, report, |node| {
        scalar::text(node, "the path of a file", "\"/etc/knock/secrets/ssh\"")
    })?;
    let path = sources.resolve_path(entry.place.source, path);
    let source = match sources.add_file(&path, report) {
        Ok(source) => source,
        Err(error) => {
            let message = format!("{key}: {}: {}", path.display(), error.message);
            report.error(entry.node.fault(message, error.help));
            return None;
        }
    };
    let text = sources.text(source);
    let line = text.trim();
    let begin = text.len() - text.trim_start().len();
    if let Some(newline) = line.find('\n') {
        report.error(Fault::new(
            Place::at(source, begin + newline + 1),
            "a sequence file holds one sequence, and here is more",
            "keep one line, as in 7000,8000:udp,9000:tcp with ports of your own",
        ));
        return None;
    }
    let steps = if line.is_empty() {
        Vec::new()
    } else {
        sequence::parse_steps(line)
            .map(|(offset, step)| {
                let place = Place::at(source, begin + offset);
                (place, step.map_err(|error| Fault::new(place, error.to_string(), error.help())))
            })
            .collect()
    };
    assemble(Place::at(source, begin), steps, report)
}

fn assemble(
    place: Place,
    steps: Vec<(Place, Result<Port, Fault>)>,
    report: &mut Report,
) -> Option<DraftSequence> {
    let count = steps.len();
    let places = steps.iter().map(|&(place, _)| place).collect();
    let mut sound = Vec::with_capacity(count);
    for (index, (_, step)) in steps.into_iter().enumerate() {
        match step {
            Ok(port) => sound.push(port),
            Err(fault) => report.error(fault.of(&format!("step {}", index + 1))),
        }
    }
    if sound.len() < count {
        return None;
    }
    Sequence::new(sound)
        .map_err(|error| report.error(Fault::new(place, error.to_string(), error.help())))
        .ok()
        .map(|sequence| DraftSequence { place, steps: places, sequence })
}

fn open_for(node: &Node) -> Result<OpenFor, Fault> {
    match &node.value {
        Value::Text(text) if text == "forever" => Ok(OpenFor::Forever),
        _ => scalar::duration(MILLISECOND..=YEAR)(node)
            .map(OpenFor::For)
            .map_err(|fault| Fault { help: format!("{}, or \"forever\"", fault.help), ..fault }),
    }
}

fn read_commands(section: &mut Section<'_>, report: &mut Report) -> DoorCommands {
    let approve = section.read("approve_command", report, approve_command);
    let start = section
        .either(["start_command", "command"], report)
        .and_then(|entry| section::read_entry(entry, report, command::command).flatten());
    let stop = section.read("stop_command", report, command::command).flatten();
    let start_6 = section.read("start_command_6", report, command::command);
    let stop_6 = section.read("stop_command_6", report, command::command);
    let cmd_timeout = section.read("cmd_timeout", report, scalar::duration(MILLISECOND..=YEAR));
    let run_as = section.read("run_as", report, user_name);
    let time_limit = section.read("command_time_limit", report, scalar::duration(MILLISECOND..=DAY));
    DoorCommands {
        approve,
        start: PerFamily { v6: start_6.unwrap_or_else(|| start.clone()), v4: start },
        stop: PerFamily { v6: stop_6.unwrap_or_else(|| stop.clone()), v4: stop },
        cmd_timeout: cmd_timeout.unwrap_or(Duration::from_secs(10)),
        run_as,
        time_limit: time_limit.unwrap_or(Duration::from_secs(30)),
    }
}

/// Where it is none, nobody could tell whether everybody is approved or nobody.
fn approve_command(node: &Node) -> Result<CommandLine, Fault> {
    command::command(node)?.ok_or_else(|| {
        node.fault("this is no command, so that it can approve nobody", "name one, or leave the key out")
    })
}

fn user_name(node: &Node) -> Result<String, Fault> {
    let name = scalar::text(node, "a user's name", "\"nobody\"")?;
    // What passwd(5) could not hold, or a path would read otherwise.
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':' || c == '/')
    {
        return Err(node.fault(format!("{name:?} cannot be a user's name"), "write one as in \"nobody\""));
    }
    Ok(name.to_owned())
}
