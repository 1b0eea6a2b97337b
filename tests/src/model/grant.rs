//! Who is let in where, until when, and for how many connections.

use super::flow::FiveTuple;
use super::rules::{Opens, Port, Rules};
use super::{Event, EventKind};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Grants that one source may hold at once.
pub const MOST_PER_SOURCE: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Valid before this time; `u64::MAX` is for ever.
    pub deadline_ms: u64,
    /// One for each flow counted since the grant was opened or last refreshed.
    pub(super) tokens: Vec<Token>,
    last_refresh_event_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) flow: FiveTuple,
    pub(super) sequence: u32,
    /// When it comes back unless the client is heard of; `None`: spent.
    pub(super) half_open_until_ms: Option<u64>,
}

impl Grant {
    pub fn is_valid(&self, now_ms: u64) -> bool {
        now_ms < self.deadline_ms
    }

    /// Connections used up: established ones, and half-open ones whose time has not run out.
    pub fn connections_used(&self, now_ms: u64) -> u32 {
        let held = |token: &&Token| token.half_open_until_ms.is_none_or(|until| now_ms < until);
        self.tokens.iter().filter(held).count() as u32
    }
}

/// (source, door) -> grant, in ascending order; expired ones too, until something replaces them.
pub(super) type Grants = BTreeMap<(IpAddr, usize), Grant>;

/// The doors whose valid grants open `port` to `source`, in ascending order.
pub(super) fn opening(grants: &Grants, rules: &Rules, now_ms: u64, source: IpAddr, port: Port) -> Vec<usize> {
    grants
        .range((source, 0)..=(source, usize::MAX))
        .filter(|((_, door), grant)| grant.is_valid(now_ms) && opens(rules, *door, port))
        .map(|((_, door), _)| *door)
        .collect()
}

fn opens(rules: &Rules, door: usize, port: Port) -> bool {
    match &rules.doors[door].opens {
        Opens::Nothing => false,
        Opens::Ports(_) => rules.doors[door].names(port),
        Opens::Any => rules.is_protected(port),
    }
}

/// What a completed sequence brings: first the revocations, then the door's own grant.
pub(super) fn complete(
    grants: &mut Grants,
    rules: &Rules,
    now_ms: u64,
    source: IpAddr,
    door: usize,
) -> Vec<Event> {
    let mut events = Vec::new();
    for &revoked in &rules.doors[door].revokes {
        events.extend(revoke(grants, now_ms, source, revoked));
    }
    let open_for = rules.doors[door].open_for_ms;
    let deadline_ms = open_for.map_or(u64::MAX, |open_for| now_ms.saturating_add(open_for));
    let kind = match &rules.doors[door].opens {
        Opens::Nothing => Some(EventKind::Open),
        _ => store(grants, now_ms, source, door, deadline_ms),
    };
    events.extend(kind.map(|kind| Event { kind, source, door }));
    events
}

/// Ends a grant now; gives an event if it was valid.
pub(super) fn revoke(grants: &mut Grants, now_ms: u64, source: IpAddr, door: usize) -> Option<Event> {
    let grant = grants.get_mut(&(source, door)).filter(|grant| grant.is_valid(now_ms))?;
    grant.deadline_ms = now_ms;
    Some(Event { kind: EventKind::Close, source, door })
}

/// `None`: a refresh within a second of the last one that was told.
fn store(
    grants: &mut Grants,
    now_ms: u64,
    source: IpAddr,
    door: usize,
    deadline_ms: u64,
) -> Option<EventKind> {
    let valid =
        grants.iter().filter(|((owner, _), grant)| *owner == source && grant.is_valid(now_ms)).count();
    match grants.get_mut(&(source, door)) {
        Some(grant) if grant.is_valid(now_ms) => {
            grant.deadline_ms = grant.deadline_ms.max(deadline_ms);
            grant.tokens.clear();
            if grant.last_refresh_event_ms.is_some_and(|last| now_ms - last < 1000) {
                return None;
            }
            grant.last_refresh_event_ms = Some(now_ms);
            Some(EventKind::Refresh)
        }
        _ if valid >= MOST_PER_SOURCE => Some(EventKind::GrantRefused),
        _ => {
            let grant = Grant { deadline_ms, tokens: Vec::new(), last_refresh_event_ms: None };
            grants.insert((source, door), grant);
            Some(EventKind::Open)
        }
    }
}
