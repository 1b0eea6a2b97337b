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
    pub door: usize,
    /// Valid before this time; `u64::MAX` is for ever.
    pub deadline_ms: u64,
    /// One for each flow counted since the grant was opened or last refreshed.
    tokens: Vec<Token>,
    /// The second of the clock in which a refresh was told last.
    told_in_second: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    flow: FiveTuple,
    /// When it comes back unless the client is heard of; `None`: spent.
    half_open_until_ms: Option<u64>,
}

impl Token {
    fn is_held(&self, now_ms: u64) -> bool {
        self.half_open_until_ms.is_none_or(|until| now_ms < until)
    }
}

impl Grant {
    pub fn is_valid(&self, now_ms: u64) -> bool {
        now_ms < self.deadline_ms
    }

    /// Connections used up: established ones, and half-open ones whose time has not run out.
    pub fn connections_used(&self, now_ms: u64) -> u32 {
        self.tokens.iter().filter(|token| token.is_held(now_ms)).count() as u32
    }

    /// Lends a token to a half-open flow until `until_ms`; one that has a token keeps it. `false`: none is left.
    pub(super) fn lend(&mut self, limit: u32, now_ms: u64, until_ms: u64, flow: FiveTuple) -> bool {
        if let Some(token) = self.lent(now_ms, flow) {
            token.half_open_until_ms = Some(until_ms);
            return true;
        }
        if self.connections_used(now_ms) >= limit {
            return false;
        }
        self.tokens.push(Token { flow, half_open_until_ms: Some(until_ms) });
        true
    }

    /// The flow lives: the token that it was lent is spent.
    pub(super) fn spend(&mut self, now_ms: u64, flow: FiveTuple) {
        if let Some(token) = self.lent(now_ms, flow) {
            token.half_open_until_ms = None;
        }
    }

    fn lent(&mut self, now_ms: u64, flow: FiveTuple) -> Option<&mut Token> {
        self.tokens
            .iter_mut()
            .find(|token| token.flow == flow && token.half_open_until_ms.is_some() && token.is_held(now_ms))
    }
}

/// Source -> its grants in the order of their places; expired ones keep theirs until something replaces them.
pub(super) type Grants = BTreeMap<IpAddr, Vec<Grant>>;

/// The valid grants that open `port` to `source`, in the order of their places.
pub(super) fn opening<'a>(
    grants: &'a mut Grants,
    rules: &Rules,
    now_ms: u64,
    source: IpAddr,
    port: Port,
) -> Vec<&'a mut Grant> {
    let held = grants.get_mut(&source).into_iter().flatten();
    held.filter(|grant| grant.is_valid(now_ms) && opens(rules, grant.door, port)).collect()
}

fn opens(rules: &Rules, door: usize, port: Port) -> bool {
    match &rules.doors[door].opens {
        Opens::Nothing => false,
        Opens::Ports(_) => rules.doors[door].names(port),
        Opens::Any => rules.is_closed(port),
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
    for grant in grants.get_mut(&source).into_iter().flatten() {
        if rules.doors[door].revokes.contains(&grant.door) && grant.is_valid(now_ms) {
            grant.deadline_ms = now_ms;
            events.push(Event { kind: EventKind::Close, source, door: Some(grant.door) });
        }
    }
    let open_for = rules.doors[door].open_for_ms;
    let deadline_ms = open_for.map_or(u64::MAX, |open_for| now_ms.saturating_add(open_for));
    let kind = match &rules.doors[door].opens {
        Opens::Nothing => Some(EventKind::Open),
        _ => store(grants.entry(source).or_default(), now_ms, door, deadline_ms),
    };
    events.extend(kind.map(|kind| Event { kind, source, door: Some(door) }));
    events
}

/// Ends a grant now; whether it was valid.
pub(super) fn revoke(grants: &mut Grants, now_ms: u64, source: IpAddr, door: usize) -> bool {
    let held = grants.get_mut(&source).into_iter().flatten();
    let grant = held.into_iter().find(|grant| grant.door == door && grant.is_valid(now_ms));
    grant.map(|grant| grant.deadline_ms = now_ms).is_some()
}

/// `None`: a refresh in a second in which one was told already.
fn store(held: &mut Vec<Grant>, now_ms: u64, door: usize, deadline_ms: u64) -> Option<EventKind> {
    let own = held.iter().position(|grant| grant.door == door);
    if let Some(grant) = own.map(|place| &mut held[place]).filter(|grant| grant.is_valid(now_ms)) {
        grant.deadline_ms = grant.deadline_ms.max(deadline_ms);
        grant.tokens.clear();
        let second = Some(now_ms / 1000);
        let told = grant.told_in_second == second;
        grant.told_in_second = second;
        return (!told).then_some(EventKind::Refresh);
    }
    let grant = Grant { door, deadline_ms, tokens: Vec::new(), told_in_second: None };
    match own.or_else(|| held.iter().position(|grant| !grant.is_valid(now_ms))) {
        Some(place) => held[place] = grant,
        None if held.len() < MOST_PER_SOURCE => held.push(grant),
        None => return Some(EventKind::GrantRefused),
    }
    Some(EventKind::Open)
}
