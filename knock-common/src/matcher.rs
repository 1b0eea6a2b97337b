//! The matcher: takes a source's step through the doors' sequences.

use core::num::NonZero;

use crate::access::is_open_to_source;
use crate::attempt::{Attempt, BrokenBy, Fingerprint, Way, is_within};
use crate::event::{Event, EventKind};
use crate::packet::{Packet, Segment};
use crate::port::Protocol;
use crate::rules::{
    DoorId, Edge, EdgeKey, Hit, HitKey, OTHER_HOP_LIMIT, OccurrenceKey, PortEntry, ROOT, RuleOption, State,
    StateKey, steps_taken,
};
use crate::source::SourceIdentity;
use crate::tables::{Tables, TakenKey};
use crate::time::Boottime;
use crate::tracking::{arriving, could_be_of_flow, is_noted};

/// What a packet does to its source's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is no knock, or one that was taken before.
    Nothing,
    /// The attempt is over: for long, or it was complete.
    Forget,
    /// A wrong port: the attempt is over.
    Break,
    /// The first knock of a door; an attempt that was under way is over.
    Begin(Edge),
    /// The next knock.
    Advance(Edge),
}

/// Whether the packet is a knock of some door. `entry` is what the rules say of its destination port.
#[inline(always)]
pub fn hit<T: Tables>(tables: &T, packet: &Packet, segment: &Segment, entry: PortEntry) -> Option<Hit> {
    if segment.fragment || !entry.is(PortEntry::KNOCK) {
        return None;
    }
    let rules = tables.rules();
    let flags_class = match segment.protocol {
        Protocol::Tcp => rules.flags_class.get(segment.flags.bits() as usize & 63).copied()?,
        Protocol::Udp => 0,
    };
    let mut key = HitKey {
        slot: tables.slot(),
        port: segment.destination_port,
        protocol: segment.protocol as u8,
        flags_class,
        target_class: 0,
    };
    if rules.has(RuleOption::Targets) && entry.is(PortEntry::TARGETED) {
        key.target_class = tables.target_class(&packet.destination);
        if let Some(hit) = tables.hit(&key) {
            return Some(hit);
        }
        // Sent to the target of doors that don't have this port: for this port it is as good as no target.
        key.target_class = 0;
    }
    tables.hit(&key)
}

/// Whether the packet may be a step of its source's attempt, or the end of it. `hit` is what [`hit`] found; the packet is not
/// part of a flow, and its port is not public.
#[inline(always)]
pub fn concerns_attempts<T: Tables>(
    tables: &T,
    segment: &Segment,
    entry: PortEntry,
    hit: &Option<Hit>,
) -> bool {
    !segment.fragment && (hit.is_some() || may_reset(tables, segment, entry))
}

/// Takes the step that the packet is for its source's attempt, and returns the door whose sequence is complete with it.
#[inline(always)]
pub fn observe<T: Tables>(
    tables: &T,
    packet: &Packet,
    entry: PortEntry,
    hit: &Option<Hit>,
    source: SourceIdentity,
) -> Option<NonZero<DoorId>> {
    let (way, attempt) = find(tables, source)?;
    let begins = matches!(hit, Some(hit) if hit.first.next != ROOT);
    if !attempt.exists() && !begins {
        return None;
    }
    take_step(tables, packet, entry, hit, &Standing { source, way, attempt })
}

/// The source's attempt, expired or not, or one that does not exist.
#[inline(always)]
pub fn attempt_of<T: Tables>(tables: &T, source: SourceIdentity) -> Attempt {
    find(tables, source).map_or(Attempt::NONE, |(_, attempt)| attempt)
}

#[inline(always)]
fn find<T: Tables>(tables: &T, source: SourceIdentity) -> Option<(Way, Attempt)> {
    let set = source.set(tables.attempt_sets());
    if !tables.attempt_tags(set)?.may_hold(source) {
        return Some((Way::ANY, Attempt::NONE));
    }
    Some(tables.attempt_set(set)?.find(source, tables.search()))
}

/// Where a source stands.
struct Standing {
    source: SourceIdentity,
    way: Way,
    attempt: Attempt,
}

// A function of its own in the kernel too: a BPF stack frame has 512 bytes. The verifier holds a pointer into the stack for one
// that may be null, so that it is not the reference that is optional.
#[inline(never)]
fn take_step<T: Tables>(
    tables: &T,
    packet: &Packet,
    entry: PortEntry,
    hit: &Option<Hit>,
    standing: &Standing,
) -> Option<NonZero<DoorId>> {
    let segment = packet.segment();
    let &Standing { source, way, attempt } = standing;
    // Not taken along: the verifier has less to do with a set that is looked up anew.
    let set = tables.attempt_set(source.set(tables.attempt_sets()))?;
    let now = tables.now();
    let fingerprint = Fingerprint::of(
        segment.protocol,
        segment.destination_port,
        segment.source_port,
        segment.sequence_number,
    );
    let knock = Knock { packet, segment, entry, fingerprint };
    let first = |edge: Edge| Attempt {
        state: edge.next,
        started: now.milliseconds(),
        hop_limit: packet.hop_limit,
        fingerprint,
    };
    let (way, edge, attempt) = if attempt.exists() {
        match step(tables, &knock, &attempt, *hit, now) {
            Step::Nothing => return None,
            Step::Forget => {
                set.forget(way);
                return None;
            }
            Step::Break => {
                set.break_off(way, source, &knock.breaks(&attempt, now));
                return None;
            }
            Step::Begin(edge) => (way, edge, first(edge)),
            Step::Advance(edge) => {
                let fingerprint = if edge.completes == 0 { attempt.fingerprint } else { fingerprint };
                (way, edge, Attempt { state: edge.next, fingerprint, ..attempt })
            }
        }
    } else {
        let edge = (*hit)?.first;
        let way = match attempt.state {
            ROOT => {
                let timeout = tables.rules().longest_timeout;
                set.place(now, timeout, tables.search(), |number| tables.unfollowed(number))
            }
            // The note of how its last attempt ended.
            _ => way,
        };
        (way, edge, first(edge))
    };
    if entry.is(PortEntry::REPEATED) {
        tables.remember_taken(&knock.taken_key(&attempt));
    }
    set.store(way, source, &attempt);
    tables.attempt_tags(source.set(tables.attempt_sets()))?.note(way, source);
    if tables.rules().has(RuleOption::Stages) {
        report_stage(tables, packet, &edge, now);
    }
    NonZero::new(edge.completes)
}

/// Whether a packet that is no knock is one that resets attempts: what opens a connection, or could be a knock elsewhere.
/// On a knock port a packet that does not meet the doors' conditions does nothing.
#[inline(always)]
fn may_reset<T: Tables>(tables: &T, segment: &Segment, entry: PortEntry) -> bool {
    if entry.is(PortEntry::KNOCK) {
        return false;
    }
    match segment.protocol {
        Protocol::Udp => true,
        Protocol::Tcp => segment.flags.opens_connection() || tables.rules().meets_some_door(segment.flags),
    }
}

/// The packet as the matcher sees it.
struct Knock<'a> {
    packet: &'a Packet,
    segment: &'a Segment,
    entry: PortEntry,
    fingerprint: Fingerprint,
}

impl Knock<'_> {
    /// What the packet is where it is the wrong one.
    #[inline(always)]
    fn breaks(&self, attempt: &Attempt, now: Boottime) -> BrokenBy {
        BrokenBy {
            steps: steps_taken(attempt.state) as u8,
            protocol: self.segment.protocol,
            port: self.segment.destination_port,
            time: now.milliseconds(),
        }
    }

    #[inline(always)]
    fn taken_key(&self, attempt: &Attempt) -> TakenKey {
        TakenKey {
            source: self.packet.source,
            started: attempt.started,
            sequence_number: self.segment.sequence_number,
            port: self.segment.destination_port,
            source_port: self.segment.source_port,
            protocol: self.segment.protocol as u32,
            first_knock: attempt.fingerprint.bits(),
        }
    }
}

/// What a packet does that begins a new attempt if it can, and else is `otherwise`.
#[inline(always)]
fn fresh(hit: Option<Hit>, otherwise: Step) -> Step {
    match hit {
        Some(Hit { first, .. }) if first.next != ROOT => Step::Begin(first),
        _ => otherwise,
    }
}

#[inline(always)]
fn step<T: Tables>(
    tables: &T,
    knock: &Knock<'_>,
    attempt: &Attempt,
    hit: Option<Hit>,
    now: Boottime,
) -> Step {
    let slot = tables.slot();
    let elapsed_within = |timeout| is_within(now.milliseconds(), attempt.started, timeout);
    let other_hop_limit =
        tables.rules().has(RuleOption::SameHopLimit) && knock.packet.hop_limit != attempt.hop_limit;
    if let Some(hit) = hit {
        let symbol = hit.symbol | if other_hop_limit { OTHER_HOP_LIMIT } else { 0 };
        let edge = tables.edge(&EdgeKey { slot, state: attempt.state, symbol });
        if let Some(edge) = edge
            && elapsed_within(edge.timeout)
        {
            // Over UDP a client may well knock twice from one source port; over TCP the sequence number tells.
            let repeated = knock.entry.is(PortEntry::REPEATED)
                && matches!(knock.segment.protocol, Protocol::Tcp)
                && tables.was_taken(&knock.taken_key(attempt));
            return if repeated { Step::Nothing } else { Step::Advance(edge) };
        }
    }
    let state = match tables.state(&StateKey { slot, state: attempt.state }) {
        Some(state) if elapsed_within(state.timeout) => state,
        // Expired, or of a door that is no more.
        _ => return fresh(hit, Step::Forget),
    };
    if state.complete != 0 {
        return after_completion(tables, knock, attempt, hit);
    }
    if other_hop_limit && state.same_hop_limit != 0 && elapsed_within(state.same_hop_limit) {
        return Step::Nothing;
    }
    if let Some(hit) = hit {
        match taken_before(tables, knock, attempt, &state) {
            // Where it begins no door, by its flags or its target, it is one more packet to a port that was knocked.
            Some(Taken::First) if hit.first.next == ROOT => return Step::Nothing,
            Some(Taken::First) => return Step::Begin(hit.first),
            Some(Taken::Again) => return Step::Nothing,
            None => {}
        }
    }
    if forgives(tables, knock) { Step::Nothing } else { fresh(hit, Step::Break) }
}

/// After completion a repeat of the last knock does nothing; anything else finds no attempt.
#[inline(always)]
fn after_completion<T: Tables>(tables: &T, knock: &Knock<'_>, attempt: &Attempt, hit: Option<Hit>) -> Step {
    match hit {
        Some(_) if knock.fingerprint == attempt.fingerprint => Step::Nothing,
        Some(_) => fresh(hit, Step::Forget),
        None if forgives(tables, knock) => Step::Nothing,
        None => Step::Forget,
    }
}

/// A hit on a port that this attempt has already knocked.
enum Taken {
    /// A new knock on the first port: the client starts over.
    First,
    /// A repeat.
    Again,
}

#[inline(always)]
fn taken_before<T: Tables>(tables: &T, knock: &Knock<'_>, attempt: &Attempt, state: &State) -> Option<Taken> {
    let key = OccurrenceKey {
        slot: tables.slot(),
        door: state.representative,
        port: knock.segment.destination_port,
        protocol: knock.segment.protocol as u8,
        padding: 0,
    };
    let steps = steps_taken(attempt.state);
    let before = tables.occurrences(&key)? & ((1u64 << (steps & 63)) - 1) as u32;
    if before == 0 {
        return None;
    }
    let repeats = before & 1 == 0
        || knock.fingerprint == attempt.fingerprint
        || knock.entry.is(PortEntry::REPEATED) && tables.was_taken(&knock.taken_key(attempt));
    Some(if repeats { Taken::Again } else { Taken::First })
}

/// Whether a wrong port is one that does not reset: a port that some door opens, one with a listener here that strangers
/// can reach, one that is open to the source, one where it answers this machine, or, without `strict`, one that belongs to no door.
#[inline(always)]
fn forgives<T: Tables>(tables: &T, knock: &Knock<'_>) -> bool {
    knock.entry.is(PortEntry::OPENED)
        || !tables.rules().has(RuleOption::Strict) && !knock.entry.is(PortEntry::KNOCK)
        || !tables.rules().has(RuleOption::Drop)
            && tables.has_listener(knock.segment.protocol, knock.segment.destination_port)
        || is_open_to_source(tables, knock.packet, knock.segment, knock.entry)
        || is_answer(tables, knock)
}

/// Whether the packet is part of a flow that this machine began. On closed ports and knock ports that was asked before.
#[inline(always)]
fn is_answer<T: Tables>(tables: &T, knock: &Knock<'_>) -> bool {
    !knock.entry.is(PortEntry::CLOSED | PortEntry::KNOCK)
        && could_be_of_flow(knock.segment)
        && is_noted(tables, &arriving(knock.packet, knock.segment))
}

#[inline(always)]
fn report_stage<T: Tables>(tables: &T, packet: &Packet, edge: &Edge, now: Boottime) {
    let door: DoorId = match tables.state(&StateKey { slot: tables.slot(), state: edge.next }) {
        Some(state) => state.representative,
        None => 0,
    };
    let mut event = Event::new(EventKind::Stage, packet.source, door, now);
    event.detail = edge.next;
    tables.report_in_passing(&event);
}
