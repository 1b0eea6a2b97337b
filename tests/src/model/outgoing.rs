//! What leaves this machine, and the connections that it begins.
//!
//! Where the text leaves room, the model reads it so:
//! - The first fragment of what leaves stands for the whole packet.
//! - Without rules in force, what leaves is followed by the rules that were not confirmed.

use super::flow::{self, FiveTuple, Flow, FlowState};
use super::note::{is_noted, note};
use super::parser::{Content, Parsed, Segment, parse};
use super::rules::{Policy, Port, Rules};
use super::{Memory, accepted, grant, icmp, standing};

/// Whether the packet that arrives belongs to a live connection that this machine began; a TCP packet then renews or
/// ends it.
pub(super) fn arrives(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) -> bool {
    if !is_answer(memory, now_ms, packet) {
        return false;
    }
    let key = FiveTuple::of_arriving(packet);
    if let Some(flow) = flow::live(&mut memory.outgoing, now_ms, &key).filter(|_| packet.is_tcp())
        && flow.follow(rules.flow_lives, now_ms, packet)
    {
        let state = flow.state;
        standing::note_peer(memory, rules, now_ms, &key, state);
    }
    true
}

/// As [`arrives`], without leaving a trace.
pub(super) fn is_answer(memory: &mut Memory, now_ms: u64, packet: &Segment) -> bool {
    let key = FiveTuple::of_arriving(packet);
    !packet.opens_connection() && flow::live(&mut memory.outgoing, now_ms, &key).is_some()
}

/// Takes note of a frame that leaves.
pub(super) fn leaves(memory: &mut Memory, rules: &Rules, now_ms: u64, frame: &[u8]) {
    let Parsed::Ip { source, destination, content } = parse(frame) else { return };
    if !rules.is_ours(source) {
        return;
    }
    match content {
        Content::Icmp(kind) if icmp::is_echo_request(source, kind) => {
            note(&mut memory.peers, now_ms, destination, rules.flow_lives.icmp_ms);
        }
        Content::Segment(packet) if packet.is_tcp() => tcp(memory, rules, now_ms, &packet),
        Content::Segment(packet) => udp(memory, rules, now_ms, &packet),
        _ => {}
    }
}

/// A SYN begins a connection anew, whatever was known of it: it is this machine's own.
fn tcp(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) {
    let key = FiveTuple::of_leaving(packet);
    if packet.opens_connection() {
        let flow = Flow::half_open(rules.flow_lives, now_ms, packet.sequence, None);
        memory.outgoing.insert(key, flow);
        standing::note_peer(memory, rules, now_ms, &key, flow.state);
    } else if flow::ends(packet) {
        accepted::is_ended_here(memory, rules, now_ms, key);
        if let Some(flow) = flow::live(&mut memory.outgoing, now_ms, &key) {
            flow.live_on(now_ms, FlowState::Closing, rules.flow_lives.closing_ms);
        }
    }
}

fn udp(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) {
    let key = FiveTuple::of_leaving(packet);
    let local = Port::udp(packet.source_port);
    if rules.is_public(local) || accepted::answers(memory, rules, now_ms, key) {
        return;
    }
    let life_ms = rules.flow_lives.udp_ms;
    if let Some(flow) = flow::live(&mut memory.outgoing, now_ms, &key) {
        if flow.live_on(now_ms, FlowState::Established, life_ms) {
            standing::note_peer(memory, rules, now_ms, &key, FlowState::Established);
        }
        return;
    }
    let is_granted = !grant::opening(&mut memory.grants, rules, now_ms, key.remote, local).is_empty();
    let is_service = rules.policy == Policy::Pass
        && !rules.is_closed(local)
        && !rules.is_knock_port(local)
        && rules.listeners.contains(&local);
    if is_granted
        || rules.is_trusted(key.remote, local) && rules.is_closed(local)
        || is_service
        || is_noted(&memory.unasked, now_ms, &key)
    {
        return;
    }
    let deadline_ms = now_ms.saturating_add(life_ms);
    let flow = Flow { state: FlowState::Established, deadline_ms, sequence: 0, lender: None };
    memory.outgoing.insert(key, flow);
    standing::note_peer(memory, rules, now_ms, &key, flow.state);
}
