//! From sections to what they say: parseconfig() of knockd 0.8.

use std::net::IpAddr;
use std::time::Duration;

use knock_common::flags::FlagsCondition;

use super::knockd::{At, Commands, KnockdDoor, KnockdFile, Options, Secret};
use super::lines::{Directive, Section, trim_text};
use super::notes::Notes;
use super::number::number;
use super::{sequence, tcp_flags};
use crate::config::diagnostic::Position;
use crate::config::nearest;

/// Case-sensitive, as every section's name: `[Options]` is a door.
const OPTIONS: &str = "options";
/// The one word that stands without "=", in any section.
const USE_SYSLOG: &str = "usesyslog";
const OPTION_KEYS: [&str; 3] = ["logfile", "pidfile", "interface"];
const DOOR_KEYS: [&str; 13] = [
    "sequence",
    "one_time_sequences",
    "seq_timeout",
    "timeout",
    "tcpflags",
    "target",
    "start_command",
    "command",
    "stop_command",
    "cmd_timeout",
    "start_command_6",
    "command_6",
    "stop_command_6",
];

/// Lines that knockd refuses are reported, and doors left out of which some is missing.
pub(super) fn read(sections: &[Section<'_>], notes: &mut Notes) -> KnockdFile {
    let mut options = Options::default();
    let mut doors = Vec::new();
    for section in sections {
        if section.name == OPTIONS {
            read_options(section, &mut options, notes);
        } else {
            doors.extend(read_door(section, &mut options, notes));
        }
    }
    if doors.is_empty() && sections.iter().all(|section| section.name == OPTIONS) {
        notes.warn(None, "no door is in this file", "name a knockd.conf with doors, as in [openSSH]");
    }
    KnockdFile { options, doors }
}

fn read_options(section: &Section<'_>, options: &mut Options, notes: &mut Notes) {
    for directive in &section.directives {
        let Some((key, line)) = key_and_value(directive, section, options, notes) else { continue };
        match key.as_str() {
            "logfile" => replace(&mut options.log_file, text(&line), &key, notes),
            "pidfile" => replace(&mut options.pid_file, text(&line), &key, notes),
            // knockd takes the first that is not empty.
            "interface" if line.value.is_empty() => {}
            "interface" => match (&options.interface, line.value.parse()) {
                (Some(first), _) => notes.warn(
                    line.place,
                    format!("{key} is given in line {} already, and knockd takes that", first.place.line),
                    "keep one of the two",
                ),
                (None, Ok(value)) => options.interface = Some(At { place: line.place, value }),
                (None, Err(error)) => {
                    notes.error(line.place, error.to_string(), "write one as in interface = eth0");
                }
            },
            _ => unknown(directive, section, notes),
        }
    }
}

fn read_door(section: &Section<'_>, options: &mut Options, notes: &mut Notes) -> Option<KnockdDoor> {
    let (mut sequence, mut one_time) = (None, None);
    let (mut seq_timeout, mut flags, mut target) = (None, None::<At<FlagsCondition>>, None);
    let mut commands = Commands::default();
    for directive in &section.directives {
        let Some((key, line)) = key_and_value(directive, section, options, notes) else { continue };
        let key = key.as_str();
        match key {
            "sequence" => {
                if let Some(value) = sequence::read(&line, notes) {
                    replace(&mut sequence, At { place: line.place, value }, key, notes);
                }
            }
            "one_time_sequences" => {
                replace(&mut one_time, text(&line), key, notes);
            }
            "seq_timeout" | "timeout" => {
                let least = Duration::from_secs(1);
                set(&mut seq_timeout, seconds(&line, key, least, notes), "seq_timeout", notes);
            }
            "cmd_timeout" => {
                set(&mut commands.cmd_timeout, seconds(&line, key, Duration::ZERO, notes), key, notes);
            }
            "tcpflags" => {
                let before = flags.as_ref().map_or(FlagsCondition::ANY, |flags| flags.value);
                if let Some(value) = tcp_flags::read(&line, before, notes) {
                    flags = Some(At { place: line.place, value });
                }
            }
            "target" => set(&mut target, address(&line, notes), key, notes),
            "start_command" | "command" => {
                replace(&mut commands.start, text(&line), "start_command", notes);
            }
            "start_command_6" | "command_6" => {
                replace(&mut commands.start_6, text(&line), "start_command_6", notes);
            }
            "stop_command" => replace(&mut commands.stop, text(&line), key, notes),
            "stop_command_6" => replace(&mut commands.stop_6, text(&line), key, notes),
            _ => unknown(directive, section, notes),
        }
    }
    // A section without a name is reported already, and so is a line that is no more than meant.
    if !section.directives.iter().any(means_sequence) && !section.name.is_empty() {
        let message = format!("door {:?} has no sequence", section.name);
        notes.error(section.place, message, "write sequence = and its ports, as in 31207,5481:udp,60122");
    }
    let secret = match (sequence, one_time) {
        (Some(sequence), Some(one_time)) => {
            let (one, other) = (sequence.place.line, one_time.place.line);
            notes.error(
                section.place,
                format!(
                    "door {:?} has a sequence (line {one}) and one-time sequences (line {other})",
                    section.name
                ),
                "keep one of the two",
            );
            return None;
        }
        (Some(At { place, value }), None) => At { place, value: Secret::Sequence(value) },
        (None, Some(At { place, value })) => At { place, value: Secret::OneTime(value) },
        (None, None) => return None,
    };
    let name = section.name.to_owned();
    Some(KnockdDoor { place: section.place, name, secret, seq_timeout, flags, target, commands })
}

/// The key in small letters, with its value. `UseSyslog` is taken here.
fn key_and_value<'a>(
    directive: &Directive<'a>,
    section: &Section<'_>,
    options: &mut Options,
    notes: &mut Notes,
) -> Option<(String, At<&'a str>)> {
    let Directive { place, key, value } = *directive;
    let lower = key.to_ascii_lowercase();
    match value {
        Some(_) if lower == USE_SYSLOG => {
            notes.error(place, format!("{key:?} takes no value"), "write UseSyslog alone");
            None
        }
        Some(value) => Some((lower, At { place, value })),
        None if lower == USE_SYSLOG => {
            options.syslog.get_or_insert(place);
            None
        }
        None if OPTION_KEYS.into_iter().chain(DOOR_KEYS).any(|known| known == word(&lower)) => {
            let key = word(key);
            notes.error(
                place,
                format!("no \"=\" behind {key:?}"),
                format!("write {key} = and what it is to be"),
            );
            None
        }
        None => {
            unknown(directive, section, notes);
            None
        }
    }
}

fn means_sequence(directive: &Directive<'_>) -> bool {
    let meant = nearest(word(directive.key), DOOR_KEYS.into_iter());
    meant.is_some_and(|key| ["sequence", "one_time_sequences"].contains(&key))
}

/// Its first word. What stands behind may be a sequence, which no message tells.
fn word(key: &str) -> &str {
    let end = key.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(key.len());
    if key.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &key[..end] }
}

fn unknown(directive: &Directive<'_>, section: &Section<'_>, notes: &mut Notes) {
    let key = word(directive.key);
    let lower = key.to_ascii_lowercase();
    let (own, others): (&[&str], &[&str]) =
        if section.name == OPTIONS { (&OPTION_KEYS, &DOOR_KEYS) } else { (&DOOR_KEYS, &OPTION_KEYS) };
    let help = if others.contains(&lower.as_str()) {
        match section.name.eq_ignore_ascii_case(OPTIONS) {
            true if section.name != OPTIONS => {
                format!(
                    "write [{OPTIONS}]: names of sections are case-sensitive, so [{}] is a door",
                    section.name
                )
            }
            true => "it belongs to a door, in a section of its own such as [openSSH]".to_owned(),
            false => format!("it belongs to [{OPTIONS}]"),
        }
    } else {
        match nearest(&lower, own.iter().copied().chain([USE_SYSLOG])) {
            Some(key) => format!("did you mean \"{key}\"?"),
            None => format!("known here: {}, {USE_SYSLOG}", own.join(", ")),
        }
    };
    let message = match key {
        "" => format!("a line in [{}] names no key", section.name.escape_debug()),
        _ => format!("unknown key {key:?} in [{}]", section.name.escape_debug()),
    };
    notes.error(directive.place, message, help);
}

/// Of two lines that say the same, knockd takes the last.
fn replace<T>(slot: &mut Option<At<T>>, line: At<T>, key: &str, notes: &mut Notes) {
    let place = line.place;
    if let Some(earlier) = slot.replace(line) {
        let message =
            format!("{key} is given again, and knockd takes this, not that of line {}", earlier.place.line);
        notes.warn(place, message, "keep one of the two");
    }
}

/// As [`replace`], if the line is sound.
fn set<T>(slot: &mut Option<At<T>>, line: Option<At<T>>, key: &str, notes: &mut Notes) {
    if let Some(line) = line {
        replace(slot, line, key, notes);
    }
}

fn text(line: &At<&str>) -> At<String> {
    At { place: line.place, value: line.value.to_owned() }
}

fn seconds(line: &At<&str>, key: &str, least: Duration, notes: &mut Notes) -> Option<At<Duration>> {
    let At { place, value } = *line;
    let help = format!("write a whole number of seconds, {} or more", least.as_secs());
    let Some((number, rest)) = number(value) else {
        notes.error(place, format!("{key}: this is not a number"), help);
        return None;
    };
    let Some(duration) = u64::try_from(number).ok().map(Duration::from_secs).filter(|&time| time >= least)
    else {
        notes.error(place, format!("{key}: with this number the door never opens or never closes"), help);
        return None;
    };
    if !trim_text(rest).is_empty() {
        warn_ignored(place, key, number, notes);
    }
    Some(At { place, value: duration })
}

fn warn_ignored(place: Position, key: &str, number: i64, notes: &mut Notes) {
    let message = format!("{key}: knockd reads {number} seconds, and ignores what stands behind");
    notes.warn(place, message, "take it out; a comment has a line of its own");
}

fn address(line: &At<&str>, notes: &mut Notes) -> Option<At<IpAddr>> {
    let At { place, value } = *line;
    match value.parse::<IpAddr>() {
        Ok(address) => Some(At { place, value: address.to_canonical() }),
        Err(_) => {
            let message = format!("target: {value:?} is not an address");
            notes.error(place, message, "write one as in 192.0.2.7 or 2001:db8::7");
            None
        }
    }
}
