//! What the live view knows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use knock_common::reason::{Reason, Verdict};
use serde::Deserialize;

use super::super::events;
use super::super::grants::GrantReport;

/// More than any screen has lines for.
const EVENTS: usize = 500;

/// What the tables say at one time.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Of CLOCK_BOOTTIME.
    pub(super) milliseconds: u64,
    pub(super) interfaces: Vec<String>,
    /// Its process id; `None`: none runs.
    pub(super) controller: Option<u32>,
    /// Packets since the filter is on.
    pub(super) reasons: BTreeMap<Reason, u64>,
    pub(super) doors: Vec<DoorCount>,
    pub(super) grants: Vec<GrantReport>,
}

#[derive(Clone, Debug)]
pub(super) struct DoorCount {
    pub(super) name: String,
    pub(super) steps: usize,
    /// How often, since the filter is on.
    pub(super) opened: u64,
}

/// Packets that one reason decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) reason: Reason,
    pub(super) per_second: u64,
    pub(super) in_all: u64,
}

/// All that is drawn.
#[derive(Debug, Default)]
pub(super) struct View {
    latest: Option<Snapshot>,
    before: Option<Snapshot>,
    trouble: Option<String>,
    /// How often each step of a door was taken, as far as the controller told.
    steps: BTreeMap<String, Vec<u64>>,
    events: VecDeque<String>,
}

/// As much of an event as is counted.
#[derive(Deserialize)]
struct StageEvent {
    event: String,
    door: Option<String>,
    stage: Option<usize>,
}

impl View {
    /// Takes what the tables say now, or why they can't be looked at.
    pub(super) fn look(&mut self, looked: Result<Snapshot, String>) {
        match looked {
            Ok(snapshot) => {
                self.before = self.latest.replace(snapshot);
                self.trouble = None;
            }
            Err(trouble) => {
                *self = Self {
                    trouble: Some(trouble),
                    events: std::mem::take(&mut self.events),
                    ..Self::default()
                }
            }
        }
    }

    /// Takes an event, as the controller tells it.
    pub(super) fn note(&mut self, line: &str) {
        /// As many as a sequence may have.
        const STEPS: usize = 32;

        if let Ok(StageEvent { event, door: Some(door), stage: Some(stage @ 1..=STEPS) }) =
            serde_json::from_str(line)
            && event == "stage"
        {
            let steps = self.steps.entry(door).or_default();
            steps.resize(steps.len().max(stage), 0);
            steps[stage - 1] += 1;
        }
        self.events.push_front(events::in_words(line));
        self.events.truncate(EVENTS);
    }

    /// `None`: the filter is not there, or can't be looked at.
    pub(super) fn latest(&self) -> Option<&Snapshot> {
        self.latest.as_ref()
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Newest first.
    pub(super) fn events(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(String::as_str)
    }

    /// Reasons that were met at all, most frequent now first.
    pub(super) fn flows(&self) -> Vec<Flow> {
        let Some(latest) = &self.latest else { return Vec::new() };
        let before = self.before.as_ref().unwrap_or(latest);
        let milliseconds = latest.milliseconds.saturating_sub(before.milliseconds).max(1);
        let flow = |(&reason, &in_all): (&Reason, &u64)| {
            // Where they run backwards, it is another filter.
            let news = in_all.saturating_sub(before.reasons.get(&reason).copied().unwrap_or(0));
            let per_second = (u128::from(news) * 1000 / u128::from(milliseconds)) as u64;
            Flow { reason, per_second, in_all }
        };
        let mut flows: Vec<Flow> = latest.reasons.iter().map(flow).filter(|flow| flow.in_all > 0).collect();
        flows.sort_by_key(|flow| Reverse((flow.per_second, flow.in_all)));
        flows
    }

    /// How often each step of a door was taken while this view was there; `None`: of none is it known.
    pub(super) fn steps(&self, door: &str) -> Option<&[u64]> {
        self.steps.get(door).map(Vec::as_slice)
    }
}

/// Packets a second and in all.
pub(super) fn sum(flows: &[Flow], verdict: Option<Verdict>) -> (u64, u64) {
    let counted = flows.iter().filter(|flow| verdict.is_none_or(|verdict| flow.reason.verdict() == verdict));
    counted.fold((0, 0), |(per_second, in_all), flow| (per_second + flow.per_second, in_all + flow.in_all))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::top) fn snapshot(milliseconds: u64, reasons: &[(Reason, u64)]) -> Snapshot {
        let grant = GrantReport {
            address: [192, 0, 2, 7].into(),
            door: Some("ssh".to_owned()),
            opens: vec!["22/tcp".to_owned()],
            expires_in_ms: Some(28_750),
            connections_left: None,
            by: "knock",
        };
        Snapshot {
            milliseconds,
            interfaces: vec!["eth0 (native)".to_owned()],
            controller: Some(812),
            reasons: reasons.iter().copied().collect(),
            doors: vec![
                DoorCount { name: "ssh".to_owned(), steps: 3, opened: 4 },
                DoorCount { name: "gate".to_owned(), steps: 4, opened: 0 },
            ],
            grants: vec![grant],
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let mut view = View::default();
        view.look(Ok(snapshot(10_000, &[(Reason::Public, 1000), (Reason::NoGrant, 50), (Reason::Held, 0)])));
        let flow = |reason, per_second, in_all| Flow { reason, per_second, in_all };
        assert_eq!(view.flows(), [flow(Reason::Public, 0, 1000), flow(Reason::NoGrant, 0, 50)]);
        view.look(Ok(snapshot(10_500, &[(Reason::Public, 1000), (Reason::NoGrant, 150), (Reason::Held, 0)])));
        let flows = view.flows();
        assert_eq!(flows, [flow(Reason::NoGrant, 200, 150), flow(Reason::Public, 0, 1000)]);
        assert_eq!(sum(&flows, None), (200, 1150));
        assert_eq!(sum(&flows, Some(Verdict::Drop)), (200, 150));
        // A filter that was attached anew.
        view.look(Ok(snapshot(11_500, &[(Reason::NoGrant, 3)])));
        assert_eq!(view.flows(), [flow(Reason::NoGrant, 0, 3)]);
    }

    #[test]
    fn steps_are_counted_and_nonsense_is_not() {
        let mut view = View::default();
        for stage in [1, 1, 3, 0, 33] {
            view.note(&format!("{{\"event\":\"stage\",\"door\":\"ssh\",\"stage\":{stage}}}"));
        }
        view.note("nonsense");
        assert_eq!(view.steps("ssh"), Some(&[2, 0, 1][..]));
        assert_eq!(view.steps("gate"), None);
        assert_eq!(view.events().next(), Some("nonsense"));
        for _ in 0..2 * EVENTS {
            view.note("one more");
        }
        assert_eq!(view.events().count(), EVENTS);
    }

    #[test]
    fn without_a_filter_nothing_is_left_but_what_has_happened() {
        let mut view = View::default();
        view.look(Ok(snapshot(10_000, &[(Reason::Public, 1)])));
        view.note("something");
        view.look(Err("it is gone".to_owned()));
        assert!(view.latest().is_none() && view.flows().is_empty());
        assert_eq!((view.trouble(), view.events().count()), (Some("it is gone"), 1));
    }
}
