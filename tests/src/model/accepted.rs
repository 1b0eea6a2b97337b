//! Connections that were accepted under a grant.

use super::flow::{self, FiveTuple, Flow, FlowState};
use super::grant::{self, Grant};
use super::parser::Segment;
use super::rules::Rules;
use super::{Memory, standing};

/// Whether the packet that arrives belongs to a live accepted connection. A TCP packet of the client renews or ends it; a
/// datagram is part of it once this machine has answered, and only what this machine sends renews it.
pub(super) fn arrives(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) -> bool {
    let key = FiveTuple::of_arriving(packet);
    if packet.opens_connection() {
        return false;
    }
    let Some(flow) = flow::live(&mut memory.accepted, now_ms, &key) else { return false };
    if !packet.is_tcp() {
        return flow.state != FlowState::HalfOpen;
    }
    if flow.state == FlowState::HalfOpen && !flow::acknowledges(packet) {
        return true;
    }
    let renewed = flow.follow(rules.flow_lives, now_ms, packet).then_some(flow.state);
    goes_on(memory, rules, now_ms, key, renewed);
    true
}

/// Whether the datagram that leaves belongs to a live accepted flow, which it then confirms or renews.
pub(super) fn answers(memory: &mut Memory, rules: &Rules, now_ms: u64, key: FiveTuple) -> bool {
    let Some(flow) = flow::live(&mut memory.accepted, now_ms, &key) else { return false };
    let renewed = flow.live_on(now_ms, FlowState::Established, rules.flow_lives.udp_ms).then_some(flow.state);
    goes_on(memory, rules, now_ms, key, renewed);
    true
}

/// This machine's FIN or RST: a flow stays half-open until the client's first packet, whatever happens here.
pub(super) fn is_ended_here(memory: &mut Memory, rules: &Rules, now_ms: u64, key: FiveTuple) {
    let flow = flow::live(&mut memory.accepted, now_ms, &key);
    if let Some(flow) = flow.filter(|flow| flow.state != FlowState::HalfOpen) {
        flow.live_on(now_ms, FlowState::Closing, rules.flow_lives.closing_ms);
    }
}

/// Whether a valid grant lets the packet pass. A SYN or datagram of no known connection then becomes a flow, and takes a
/// token where connections are counted: where no grant is without limit, that of the first.
pub(super) fn is_granted(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) -> bool {
    let mut opening = grant::opening(&mut memory.grants, rules, now_ms, packet.source, packet.port);
    if opening.is_empty() || (packet.is_tcp() && !packet.opens_connection()) {
        return !opening.is_empty();
    }
    let limit = |grant: &Grant| rules.doors[grant.door].connections;
    let unlimited = opening.iter().any(|grant| limit(grant) == 0);
    if packet.fragment {
        return unlimited;
    }
    let key = FiveTuple::of_arriving(packet);
    let known = flow::live(&mut memory.accepted, now_ms, &key);
    if known.is_some_and(|flow| flow.sequence == packet.sequence && flow.state != FlowState::Closing) {
        return true;
    }
    let mut lender = None;
    if !unlimited {
        let grant = &mut opening[0];
        let until_ms = now_ms.saturating_add(rules.flow_lives.half_open_ms);
        if !grant.lend(limit(grant), now_ms, until_ms, key) {
            return false;
        }
        lender = Some(grant.door);
    }
    record(memory, rules, now_ms, packet, lender);
    true
}

/// One on a live connection's five-tuple never shortens that connection's life: it may be forged.
fn record(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment, lender: Option<usize>) {
    let new = Flow::half_open(rules.flow_lives, now_ms, packet.sequence, lender);
    let key = FiveTuple::of_arriving(packet);
    let known = memory.accepted.entry(key).or_insert(new);
    if known.is_live(now_ms) && known.state != FlowState::HalfOpen {
        known.sequence = packet.sequence;
        known.lender = lender;
    } else {
        *known = new;
    }
}

/// Both sides have been heard: a token that was lent is spent. `renewed`: the state in which the flow lives for longer.
fn goes_on(memory: &mut Memory, rules: &Rules, now_ms: u64, key: FiveTuple, renewed: Option<FlowState>) {
    if let Some(state) = renewed {
        standing::note_peer(memory, rules, now_ms, &key, state);
    }
    let lender = memory.accepted.get_mut(&key).and_then(|flow| flow.lender.take());
    let held = memory.grants.get_mut(&key.remote).into_iter().flatten();
    for grant in held.filter(|grant| Some(grant.door) == lender) {
        grant.spend(now_ms, key);
    }
}
