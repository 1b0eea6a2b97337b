//! Errors that only doors together, or doors and the filter, can make.

use std::collections::BTreeSet;
use std::net::IpAddr;

use knock_common::port::{PortRange, Protocol};

use super::door::Door;
use super::draft::{Conditions, Draft, DraftSequence};
use super::filter::Filter;
use super::report::{Fault, Report};
use super::section::nearest;

pub(super) fn check(filter: &Filter, doors: &[Draft], report: &mut Report) {
    let names: BTreeSet<&str> = doors.iter().map(|door| door.name.as_str()).collect();
    for (index, door) in doors.iter().enumerate() {
        check_purpose(door, report);
        check_public(door, &filter.public, report);
        check_revokes(door, &names, report);
        check_conflict(door, &doors[..index], report);
    }
}

fn check_purpose(draft: &Draft, report: &mut Report) {
    let Draft { name, place, .. } = draft;
    if !draft.sequence_given {
        report.error(Fault::new(
            *place,
            format!("door {name:?} has no sequence"),
            "write sequence = [...]; \"shuf -n 3 -i 1024-65535\" prints random ports",
        ));
    }
    if draft.door.as_ref().is_some_and(does_nothing) {
        report.error(Fault::new(
            *place,
            format!("door {name:?} does nothing"),
            "give it opens = [\"22/tcp\"], revokes or a start_command",
        ));
    }

    if draft.door.as_ref().is_some_and(|door| door.commands.approve.is_some() && !door.revokes.is_empty()) {
        report.error(Fault::new(
            *place,
            format!(
                "door {name:?} has both approve_command and revokes, and would revoke before it is approved"
            ),
            "make two doors of it, or leave one of them out",
        ));
    }
}

fn does_nothing(door: &Door) -> bool {
    door.opens.is_nothing()
        && door.revokes.is_empty()
        && door.commands.start.is_none()
        && door.commands.stop.is_none()
}

fn check_public(draft: &Draft, public: &[PortRange], report: &mut Report) {
    for open in &draft.opens {
        if let Some(range) = public.iter().find(|range| overlap(range, &open.value)) {
            report.error(Fault::new(
                open.place,
                format!(
                    "door {:?} opens {}, but {range} is public: open to everyone",
                    draft.name, open.value
                ),
                "take it out of this door, or out of \"public\"",
            ));
        }
    }
    let Some(DraftSequence { steps, sequence, .. }) = &draft.sequence else { return };
    for (index, (place, &port)) in steps.iter().zip(sequence.steps()).enumerate() {
        if public.iter().any(|range| range.contains(port)) {
            report.error(Fault::new(
                *place,
                format!(
                    "step {} of door {:?} is a public port, where no knock is seen",
                    index + 1,
                    draft.name
                ),
                "knock on another port, or take it out of \"public\"",
            ));
        }
    }
}

fn check_revokes(draft: &Draft, names: &BTreeSet<&str>, report: &mut Report) {
    for revoked in draft.revokes.iter().filter(|revoked| !names.contains(revoked.value.as_str())) {
        let help = match nearest(&revoked.value, names.iter().copied()) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("the doors are {}", names.iter().copied().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("door {:?} revokes {:?}, which is no door", draft.name, revoked.value);
        report.error(Fault::new(revoked.place, message, help));
    }
}

/// Compares with the doors before it in the file. One conflict says enough: to solve it changes the sequence.
fn check_conflict(draft: &Draft, before: &[Draft], report: &mut Report) {
    let Some(own) = &draft.sequence else { return };
    for other in before {
        let Some(others) = &other.sequence else { continue };
        let (own_steps, other_steps) = (own.sequence.steps(), others.sequence.steps());
        let shared = own_steps.len().min(other_steps.len());
        if own_steps[..shared] != other_steps[..shared] || told_apart(draft, other, shared) {
            continue;
        }
        let apart = "or targets or tcpflags that no packet meets both of";
        let fault = if own_steps.len() == other_steps.len() {
            Fault::new(
                own.place,
                format!("doors {:?} and {:?} have the same sequence", other.name, draft.name),
                format!("give {:?} a sequence of its own, {apart}", draft.name),
            )
        } else {
            let (longer, shorter) = if own_steps.len() > shared { (draft, other) } else { (other, draft) };
            let place = if own_steps.len() > shared { own.place } else { others.place };
            Fault::new(
                place,
                format!(
                    "door {:?} could never open: its sequence begins with all of door {:?}",
                    longer.name, shorter.name
                ),
                format!("give it a sequence that begins otherwise, {apart}"),
            )
        };
        report.error(fault);
        return;
    }
}

/// Whether no packet is a knock for both doors at some of the steps they share.
fn told_apart(draft: &Draft, other: &Draft, shared: usize) -> bool {
    let (Some(own), Some(others)) = (&draft.conditions, &other.conditions) else {
        // Faulty conditions are reported already; what they will be is unknown.
        return true;
    };
    let Some(DraftSequence { sequence, .. }) = &draft.sequence else { return true };
    let has_tcp_step = sequence.steps()[..shared].iter().any(|step| step.protocol == Protocol::Tcp);
    disjoint(&own.target, &others.target) || (has_tcp_step && flags_exclude(own, others))
}

fn flags_exclude(one: &Conditions, other: &Conditions) -> bool {
    one.flags.excludes(other.flags)
}

/// No target means every address.
fn disjoint(one: &[IpAddr], other: &[IpAddr]) -> bool {
    !one.is_empty() && !other.is_empty() && !one.iter().any(|address| other.contains(address))
}

/// Whether all ports of `inner` are in `outer`.
pub(super) fn covers(outer: &PortRange, inner: &PortRange) -> bool {
    outer.protocol() == inner.protocol() && outer.first() <= inner.first() && inner.last() <= outer.last()
}

fn overlap(one: &PortRange, other: &PortRange) -> bool {
    one.protocol() == other.protocol() && one.first() <= other.last() && other.first() <= one.last()
}
