//! What a filter remembers between packets, in one form for all that are compared.

use crate::model::{Event, EventKind, FlowState, Model, Rules};
use crate::rule_set::door_name;
use knock_common::event;
use knock_common::flow::SequenceTag;
use knock_common::rules::DoorId;
use knock_ctl::rules::door_ids;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Everything that is not over at one point in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub attempts: BTreeMap<IpAddr, AttemptState>,
    /// (source, door) -> deadline in milliseconds; `u64::MAX` is for ever.
    pub grants: BTreeMap<(IpAddr, usize), u64>,
    /// In ascending order: not every filter can tell whose they are.
    pub flows: Vec<(FlowState, FlowEnd)>,
    /// State and deadline in milliseconds of the flows that this machine began, in ascending order.
    pub outgoing: Vec<(FlowState, u64)>,
    /// Sources that are held for scanning.
    pub held: BTreeSet<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptState {
    pub start_ms: u64,
    /// Steps taken.
    pub step: usize,
    pub completed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowEnd {
    pub deadline_ms: u64,
    /// Of the last SYN.
    pub sequence: SequenceTag,
}

impl State {
    pub fn of_model(model: &Model, now_ms: u64) -> Self {
        let attempts = model.attempts(now_ms).into_iter().map(|(source, attempt)| {
            let (start_ms, step, completed) = (attempt.start_ms, attempt.doors[0].1, attempt.completed);
            (source, AttemptState { start_ms, step, completed })
        });
        let grants = model.grants(now_ms).into_iter().map(|(key, grant)| (key, grant.deadline_ms));
        let flows = model.flows(now_ms).into_values().map(|flow| {
            (flow.state, FlowEnd { deadline_ms: flow.deadline_ms, sequence: SequenceTag::of(flow.sequence) })
        });
        let outgoing = model.outgoing(now_ms).into_values().map(|flow| (flow.state, flow.deadline_ms));
        Self {
            attempts: attempts.collect(),
            grants: grants.collect(),
            flows: sorted(flows),
            outgoing: sorted(outgoing),
            held: model.held(now_ms),
        }
    }
}

/// Flows in the order of [`State::flows`] and [`State::outgoing`].
pub fn sorted<E: Ord + Copy>(flows: impl Iterator<Item = (FlowState, E)>) -> Vec<(FlowState, E)> {
    let mut flows: Vec<_> = flows.collect();
    flows.sort_unstable_by_key(|&(state, end)| (state as u8, end));
    flows
}

/// The doors' numbers in the program under test.
#[derive(Default)]
pub struct Doors(Vec<DoorId>);

impl Doors {
    pub fn of(rules: &Rules) -> Self {
        let names: Vec<String> = (0..rules.doors.len()).map(door_name).collect();
        Self(door_ids(names.iter().map(String::as_str)))
    }

    /// # Panics
    /// Where there is no such door.
    pub fn id(&self, index: usize) -> DoorId {
        self.0[index]
    }

    /// # Panics
    /// Where there is no such door.
    pub fn index(&self, door: DoorId) -> usize {
        self.0.iter().position(|id| *id == door).expect("a door of these rules")
    }

    /// # Panics
    /// Where the event is of a kind that the model does not know.
    pub fn event(&self, event: &event::Event) -> Event {
        let kind = match event::EventKind::from_number(event.kind) {
            Some(event::EventKind::Open) => EventKind::Open,
            Some(event::EventKind::Refresh) => EventKind::Refresh,
            Some(event::EventKind::Close) => EventKind::Close,
            Some(event::EventKind::GrantRefused) => EventKind::GrantRefused,
            Some(event::EventKind::SourceHeld) => EventKind::SourceHeld,
            other => panic!("an event of kind {other:?}"),
        };
        let door = (kind != EventKind::SourceHeld).then(|| self.index(event.door));
        Event { kind, source: event.source.to_ip(), door }
    }
}
