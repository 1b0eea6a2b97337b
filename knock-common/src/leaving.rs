//! Packets that leave this machine: what it begins is remembered, so that the answers are let in.

use crate::access::{is_granted, is_trusted};
use crate::flags::TcpFlags;
use crate::flow::{Eviction, FiveTuple, FlowIdentity, FlowKind, NewFlow, Phase};
use crate::packet::{Content, Icmp, Packet, Segment};
use crate::port::Protocol;
use crate::rules::{PortEntry, RuleOption};
use crate::tables::Tables;
use crate::tracking::{confirm, is_noted, leaving, note_for, note_peer};

/// Notes what the packet begins, renews or ends: a TCP SYN without ACK, a datagram or an echo request begins something; an
/// answer never does, or a stranger who sends forged questions to an open port could fill the table.
#[inline(always)]
pub fn note_leaving<T: Tables>(tables: &T, packet: &Packet) {
    if tables.rules().has(RuleOption::Destinations) && !tables.is_destination(&packet.source) {
        return;
    }
    match packet.content() {
        Content::Segment(segment) => match segment.protocol {
            Protocol::Tcp if segment.opens_connection() => begin(tables, packet, segment),
            Protocol::Tcp if segment.flags.intersects(TcpFlags::FIN.union(TcpFlags::RST)) => {
                end(tables, packet, segment);
            }
            Protocol::Tcp => {}
            Protocol::Udp => note_datagram(tables, packet, segment),
        },
        Content::Icmp(Icmp::Echo) => {
            let (peer, life) = (FiveTuple::of_peer(packet.destination), tables.rules().flow_icmp);
            note_for(tables, &peer, life, Eviction::FirstToEnd);
        }
        Content::Icmp(_) | Content::LaterFragment | Content::Other(_) => {}
    }
}

/// Records the flow that this machine begins with the packet.
#[inline(always)]
fn begin<T: Tables>(tables: &T, packet: &Packet, segment: &Segment) {
    let tuple = leaving(packet, segment);
    let identity = FlowIdentity::of(tables.hash_key(), &tuple);
    let Some(set) = tables.outgoing_set(identity.outgoing_set(tables.flow_sets())) else {
        return;
    };
    let phase = match segment.protocol {
        Protocol::Tcp => Phase::HalfOpen,
        Protocol::Udp => Phase::Established,
    };
    let flow = NewFlow::without_grant(phase);
    let lives = tables.rules().lives(tuple.kind);
    set.record(identity, &flow, tables.now(), &lives, Eviction::FirstToEnd, tables.search());
    note_peer(tables, &tuple, phase);
}

/// This machine ends the connection. An accepted one stays half-open until its client is heard of: a flood of SYNs that are
/// refused must not leave flows which keep others out.
#[inline(always)]
fn end<T: Tables>(tables: &T, packet: &Packet, segment: &Segment) {
    let tuple = leaving(packet, segment);
    let identity = FlowIdentity::of(tables.hash_key(), &tuple);
    let now = tables.now();
    let lives = tables.rules().lives(tuple.kind);
    let accepted = tables.flow_set(identity.accepted_set(tables.flow_sets()));
    if let Some(set) = accepted
        && let Some((way, flow)) = set.find(identity, now, tables.search())
        && !matches!(flow.phase, Phase::HalfOpen)
    {
        set.renew(way, &flow, flow.grant, Phase::Closing, now, &lives);
    }
    let outgoing = tables.outgoing_set(identity.outgoing_set(tables.flow_sets()));
    if let Some(set) = outgoing
        && let Some((way, flow)) = set.find(identity, now, tables.search())
    {
        set.renew(way, &flow, flow.grant, Phase::Closing, now, &lives);
    }
}

#[inline(always)]
fn note_datagram<T: Tables>(tables: &T, packet: &Packet, segment: &Segment) {
    let port = segment.source_port;
    let entry = tables.port(Protocol::Udp, port);
    if entry.is(PortEntry::PUBLIC) || renews(tables, packet, segment) {
        return;
    }
    let answers = if entry.is(PortEntry::CLOSED) {
        is_trusted(tables, &packet.destination, entry)
            || is_granted(tables, &packet.destination, Protocol::Udp, port, entry)
    } else {
        // Open to everyone, so that a datagram of a service here is an answer.
        !entry.is(PortEntry::KNOCK) && tables.has_listener(Protocol::Udp, port)
    };
    let unasked = FiveTuple { kind: FlowKind::Unasked, ..leaving(packet, segment) };
    if !answers && (tables.rules().has(RuleOption::Enforce) || !is_noted(tables, &unasked)) {
        begin(tables, packet, segment);
    }
}

/// Renews the flow that the datagram belongs to. `false`: there is none.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
fn renews<T: Tables>(tables: &T, packet: &Packet, segment: &Segment) -> bool {
    let tuple = leaving(packet, segment);
    let identity = FlowIdentity::of(tables.hash_key(), &tuple);
    let now = tables.now();
    let lives = tables.rules().lives(tuple.kind);
    let accepted = tables.flow_set(identity.accepted_set(tables.flow_sets()));
    if let Some(set) = accepted
        && let Some((way, flow)) = set.find(identity, now, tables.search())
    {
        let kept = confirm(tables, &tuple, &flow, identity);
        if set.renew(way, &flow, kept, Phase::Established, now, &lives) {
            note_peer(tables, &tuple, Phase::Established);
        }
        return true;
    }
    let outgoing = tables.outgoing_set(identity.outgoing_set(tables.flow_sets()));
    if let Some(set) = outgoing
        && let Some((way, flow)) = set.find(identity, now, tables.search())
    {
        if set.renew(way, &flow, flow.grant, Phase::Established, now, &lives) {
            note_peer(tables, &tuple, Phase::Established);
        }
        return true;
    }
    false
}
