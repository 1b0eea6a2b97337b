//! What a configuration means, in plain words, and without the secrets.

use std::fmt::Display;

use knock_common::flags::FlagsCondition;
use knock_common::port::{PortRange, Protocol};

use super::check::covers;
use super::command::{CommandLine, PerFamily};
use super::door::DoorSequence;
use super::door::{Door, OpenFor, Opens};
use super::duration::format_duration;
use super::filter::{Established, Filter, Interface, Mode};
use super::flags::format_flags;
use super::sequence::Sequence;
use super::strength::{self, BLIND, Guessing, Strength};
use super::{Config, DoorCommands, Log};
use crate::rules::{Policy, ScannersRule};

/// Several lines, the last one ended too. `memory_bytes` is what the limits cost in kernel memory.
pub fn describe(config: &Config, memory_bytes: u64) -> String {
    let mut lines = describe_filter(config);
    let guessing = Guessing::under(config);
    for door in &config.doors {
        lines.push(String::new());
        lines.extend(describe_door(door, config, &guessing));
    }
    if !config.doors.is_empty() {
        lines.push(String::new());
    }
    lines.extend(describe_any_door(&config.doors, &guessing));
    let mebibytes = memory_bytes.div_ceil(1 << 20);
    lines.push(format!("Kernel memory: at most {mebibytes} MiB for these limits."));
    lines.push(String::new());
    lines.join("\n")
}

fn describe_filter(config: &Config) -> Vec<String> {
    let filter = &config.filter;
    let mut lines = vec![format!("Filters: {}.", interfaces(filter))];
    if !filter.enforce {
        lines.push("Not enforced: nothing is dropped; what would be is counted.".to_owned());
    }
    if !filter.destinations.is_empty() {
        lines.push(format!("Only what is sent to {} is filtered.", list(&filter.destinations)));
    }
    let closed = closed(config);
    let everything = filter.policy == Policy::Drop;
    if everything {
        lines.push("Closed: every port, but for those that are named below.".to_owned());
    } else if closed.is_empty() {
        lines.push("Closed: nothing.".to_owned());
    } else {
        lines.push(format!("Closed: {}. Other ports are left as they are.", list(&closed)));
    }
    let without_door = without_door(config);
    if !everything && !without_door.is_empty() {
        lines.push(format!("No knock opens {}.", list(&without_door)));
    }
    if !filter.public.is_empty() {
        lines.push(format!("Always open: {}.", list(&filter.public)));
    }
    if everything {
        lines.push(passes(filter));
    }
    let trusted: Vec<String> = filter
        .trusted
        .iter()
        .map(|trusted| match &trusted.to {
            Opens::Any => trusted.from.to_string(),
            Opens::Ports(ports) => format!("{} (only for {})", trusted.from, list(ports)),
        })
        .collect();
    if trusted.is_empty() && !config.doors.is_empty() && (everything || !closed.is_empty()) {
        lines.push("Everyone must knock.".to_owned());
    } else if !trusted.is_empty() {
        lines.push(format!("Need not knock: {}.", trusted.join(", ")));
    }
    lines.extend(config.scanners.as_ref().map(describe_scanners));
    lines.extend(config.metrics.map(|listen| format!("Metrics: at http://{listen}/metrics.")));
    lines.extend(describe_log(&config.log));
    if !filter.strict {
        lines.push("Not strict: only a wrong port that belongs to some door resets an attempt.".to_owned());
    }
    lines
}

/// Where the log goes besides the controller's standard error, and what is in it besides what doors do.
fn describe_log(log: &Log) -> Option<String> {
    let Log { stages, drops, syslog, file } = log;
    let syslog = syslog.then(|| "to syslog".to_owned());
    let file = file.as_ref().map(|path| format!("to {}", path.display()));
    let stages = stages.then(|| "each step of an attempt".to_owned());
    let drops = drops.then(|| "a sample of what is dropped".to_owned());
    let parts: Vec<String> = [syslog, file, stages, drops].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Logged too: {}.", parts.join(", ")))
}

/// What is neither public nor granted and passes all the same where everything is closed.
fn passes(filter: &Filter) -> String {
    let mut kinds = vec!["connections that this machine begins".to_owned(), "DHCP".to_owned()];
    kinds.push(if filter.ping { "ICMP" } else { "ICMP except echo requests and the like" }.to_owned());
    kinds.push("IGMP".to_owned());
    kinds.extend(filter.protocols.iter().map(ToString::to_string));
    format!("Passes too: {}.", kinds.join(", "))
}

fn describe_scanners(scanners: &ScannersRule) -> String {
    let ScannersRule { ports, within, hold, include_public } = *scanners;
    let public =
        if include_public { "public ports are closed to it too" } else { "public ports stay open to it" };
    format!(
        "Held: a source that hits {} within {}, for {}; {public}.",
        counted(ports as usize, "different closed port"),
        format_duration(within),
        format_duration(hold)
    )
}

fn interfaces(filter: &Filter) -> String {
    let names: Vec<&str> = filter
        .interfaces
        .iter()
        .map(|interface| match interface {
            Interface::Default => "the interface of the default route",
            Interface::Named(name) => name,
        })
        .collect();
    let names =
        if names.is_empty() { "the interfaces that \"attach\" names".to_owned() } else { names.join(", ") };
    match filter.mode {
        Mode::Auto => names,
        Mode::Native => format!("{names}, in native mode"),
        Mode::Generic => format!("{names}, in generic mode"),
    }
}

/// What is closed until a knock, in order, each entry once.
fn closed(config: &Config) -> Vec<PortRange> {
    let opened = config.doors.iter().flat_map(|door| match &door.opens {
        Opens::Ports(ranges) => ranges.as_slice(),
        Opens::Any => &[],
    });
    let public = &config.filter.public;
    let mut closed: Vec<PortRange> = config.filter.protected.iter().chain(opened).copied().collect();
    closed.retain(|range| !public.iter().any(|public| covers(public, range)));
    closed.sort();
    closed.dedup();
    closed
}

/// Who guesses need not care which door it is.
fn describe_any_door(doors: &[Door], guessing: &Guessing) -> Option<String> {
    let lets_in = |door: &&Door| !door.opens.is_nothing() || !door.commands.start.is_none();
    let next = doors.iter().filter(lets_in).filter_map(|door| door.sequence.next());
    let strengths: Vec<Strength> = next.map(|sequence| guessing.strength(sequence)).collect();
    let time = strength::needed(Strength::packets_for_any(&strengths));
    (strengths.len() > 1).then(|| format!("To open any one of these doors, {BLIND} needs {time} on average."))
}

/// What is closed and in no door.
fn without_door(config: &Config) -> Vec<PortRange> {
    let mut left = closed(config);
    for door in &config.doors {
        match &door.opens {
            Opens::Any => return Vec::new(),
            Opens::Ports(opened) => {
                for hole in opened {
                    left = left.iter().flat_map(|range| outside(range, hole)).collect();
                }
            }
        }
    }
    left
}

/// What `range` has below and above `hole`.
fn outside(range: &PortRange, hole: &PortRange) -> Vec<PortRange> {
    let protocol = range.protocol();
    if protocol != hole.protocol() || range.last() < hole.first() || hole.last() < range.first() {
        return vec![*range];
    }
    // Where there is nothing below or above, the range would run backwards, or beyond the last port.
    let below = PortRange::new(protocol, range.first(), hole.first() - 1);
    let above = hole.last().checked_add(1).and_then(|first| PortRange::new(protocol, first, range.last()));
    below.into_iter().chain(above).collect()
}

fn describe_door(door: &Door, config: &Config, guessing: &Guessing) -> Vec<String> {
    let Some(sequence) = door.sequence.next() else {
        return vec![format!("Door {}: shut, as all its one-time sequences are used.", door.name)];
    };
    let steps = sequence.steps();
    let mut knock = format!(
        "Door {}: {} within {}",
        door.name,
        counted(steps.len(), "knock"),
        format_duration(door.seq_timeout)
    );
    if let DoorSequence::OneTime(file) = &door.sequence {
        knock += &format!(", {} left", counted(file.unused.len(), "one-time sequence"));
    }
    if !door.target.is_empty() {
        knock += &format!(", sent to {}", list(&door.target));
    }
    if door.flags != FlagsCondition::CONNECT && steps.iter().any(|step| step.protocol == Protocol::Tcp) {
        knock += &format!(", TCP flags {}", format_flags(door.flags));
    }
    if door.same_ttl {
        knock += ", all with one TTL";
    }
    let strength = guessing.strength(sequence);
    let mut lines = vec![format!("{knock}."), format!("  Strength: {strength}")];
    lines.extend(describe_shared_beginning(door, &config.doors));
    if !door.opens.is_nothing() {
        lines.push(format!("  {}", describe_grant(door, config.filter.established)));
    }
    if !door.revokes.is_empty() {
        lines.push(format!("  Takes from the source what it has by {}.", list(&door.revokes)));
    }
    lines.extend(describe_commands(door));
    lines
}

/// Whoever knows another door's sequence knows the beginning of this one's too.
fn describe_shared_beginning(door: &Door, doors: &[Door]) -> Option<String> {
    let sequence = door.sequence.next()?;
    let shared = |other: &Door| {
        let others = other.sequence.next().map_or(&[][..], Sequence::steps);
        sequence.steps().iter().zip(others).take_while(|(own, others)| own == others).count()
    };
    let others = doors.iter().filter(|other| other.name != door.name);
    let (count, other) = others.rev().map(|other| (shared(other), other)).max_by_key(|&(count, _)| count)?;
    if count == 0 {
        return None;
    }
    let (knocks, them) = match count {
        1 => ("knock is that".to_owned(), "it"),
        more => (format!("{more} knocks are those"), "them"),
    };
    let bits = strength::bits_behind(sequence, count).round();
    Some(format!(
        "  Its first {knocks} of door {}, too: for whoever knows {them} {bits} bits are left.",
        other.name
    ))
}

fn describe_grant(door: &Door, established: Established) -> String {
    let ports = match &door.opens {
        Opens::Any => "every port".to_owned(),
        Opens::Ports(ranges) => list(ranges),
    };
    let time = match door.open_for {
        OpenFor::For(duration) => format!("for {}", format_duration(duration)),
        OpenFor::Forever => "until revoked".to_owned(),
    };
    let connections = match door.connections {
        0 => String::new(),
        count => format!(", for {}", counted(count as usize, "connection")),
    };
    let afterwards = match established {
        Established::Keep => "connections made meanwhile live on",
        Established::Cut => "connections made meanwhile end then",
    };
    format!("Opens {ports} to the source {time}{connections}; {afterwards}.")
}

fn describe_commands(door: &Door) -> Vec<String> {
    let DoorCommands { approve, start, stop, cmd_timeout, run_as, time_limit } = &door.commands;
    let stop_when = if door.opens.is_nothing() {
        format!("{} later", format_duration(*cmd_timeout))
    } else {
        "when the grant ends".to_owned()
    };
    let asked = PerFamily { v4: approve.clone(), v6: approve.clone() };
    let mut lines = describe_command("first, and opens only if that succeeds", &asked);
    lines.extend(describe_command("when it opens", start));
    lines.extend(describe_command(&stop_when, stop));
    if !lines.is_empty() {
        let whom = run_as
            .as_ref()
            .map_or_else(|| "as the controller's user".to_owned(), |name| format!("as {name}"));
        let limit = format_duration(*time_limit);
        lines.push(format!("  Commands run {whom} and are ended after {limit}."));
    }
    lines
}

fn describe_command(when: &str, command: &PerFamily) -> Vec<String> {
    let line = |whose: &str, command: &CommandLine| {
        let shown = match command {
            CommandLine::Shell(line) => format!("by the shell: {}", line.escape_debug()),
            CommandLine::Direct(words) => format!("{words:?}"),
        };
        format!("  Runs {when}{whose}, {shown}")
    };
    match (&command.v4, &command.v6) {
        (v4, v6) if v4 == v6 => v4.iter().map(|both| line("", both)).collect(),
        (v4, v6) => {
            let v4 = v4.iter().map(|command| line(" for IPv4 sources", command));
            v4.chain(v6.iter().map(|command| line(" for IPv6 sources", command))).collect()
        }
    }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
