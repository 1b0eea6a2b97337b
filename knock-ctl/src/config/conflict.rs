//! When two doors cannot have their sequences at once.

use std::net::IpAddr;

use knock_common::flags::FlagsCondition;
use knock_common::port::Protocol;

use super::sequence::Sequence;

/// What the knocks of a door are.
pub(crate) struct Knocks<'a> {
    pub(crate) sequence: &'a Sequence,
    pub(crate) flags: FlagsCondition,
    /// Empty: every address.
    pub(crate) target: &'a [IpAddr],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    SameSequence,
    /// The longer sequence begins with all of the shorter one, so that its door could never open.
    BeginsWith {
        first_is_longer: bool,
    },
}

/// `None` too where some packet of the steps that they share is a knock for one of them alone.
pub(crate) fn conflict(first: &Knocks<'_>, second: &Knocks<'_>) -> Option<Conflict> {
    let (first_steps, second_steps) = (first.sequence.steps(), second.sequence.steps());
    let shared = first_steps.len().min(second_steps.len());
    if first_steps[..shared] != second_steps[..shared] {
        return None;
    }
    let has_tcp_step = first_steps[..shared].iter().any(|step| step.protocol == Protocol::Tcp);
    if disjoint(first.target, second.target) || (has_tcp_step && first.flags.excludes(second.flags)) {
        return None;
    }
    Some(if first_steps.len() == second_steps.len() {
        Conflict::SameSequence
    } else {
        Conflict::BeginsWith { first_is_longer: first_steps.len() > shared }
    })
}

/// No target means every address.
fn disjoint(one: &[IpAddr], other: &[IpAddr]) -> bool {
    !one.is_empty() && !other.is_empty() && !one.iter().any(|address| other.contains(address))
}
