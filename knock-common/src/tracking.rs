//! Inbound packets of known flows: recorded, recognised and renewed.

use crate::connection::ConnectionsKey;
use crate::flags::TcpFlags;
use crate::flow::{
    Eviction, FiveTuple, Flow, FlowIdentity, FlowKind, FlowLives, GrantIndex, NewFlow, Phase, SequenceTag,
};
use crate::grant::Granted;
use crate::packet::{Packet, Segment};
use crate::port::Protocol;
use crate::rules::RuleOption;
use crate::tables::Tables;

/// A SYN without ACK is judged by trust or grant, so that no new connection rides on an old flow.
#[inline(always)]
pub(crate) fn could_be_of_flow(segment: &Segment) -> bool {
    !segment.opens_connection()
}

/// Whether the packet is part of a connection that was accepted here or begun here, which it renews; with
/// `established = "cut"` the former does not let it pass.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn passes_as_flow<T: Tables>(tables: &T, packet: &Packet, segment: &Segment) -> bool {
    let tuple = arriving(packet, segment);
    let identity = FlowIdentity::of(tables.hash_key(), &tuple);
    renew_accepted(tables, segment, &tuple, identity) || renew_outgoing(tables, segment, &tuple, identity)
}

#[inline(always)]
fn renew_accepted<T: Tables>(
    tables: &T,
    segment: &Segment,
    tuple: &FiveTuple,
    identity: FlowIdentity,
) -> bool {
    let now = tables.now();
    let Some(set) = tables.flow_set(identity.accepted_set(tables.flow_sets())) else {
        return false;
    };
    let Some((way, flow)) = set.find(identity, now, tables.search()) else {
        return false;
    };
    let rules = tables.rules();
    match segment.protocol {
        // A SYN that somebody forged is answered with RST by the address that it names.
        Protocol::Tcp if matches!(flow.phase, Phase::HalfOpen) && !acknowledges(segment) => {}
        Protocol::Tcp => {
            let kept = confirm(tables, tuple, &flow, identity);
            let phase = next_phase(&flow, segment);
            if set.renew(way, &flow, kept, phase, now, &rules.lives(tuple.kind)) {
                note_peer(tables, tuple, phase);
            }
        }
        // What this machine sends renews it; until it has sent something, the grant decides.
        Protocol::Udp if matches!(flow.phase, Phase::HalfOpen) => return false,
        Protocol::Udp => {}
    }
    !rules.has(RuleOption::Cut)
}

#[inline(always)]
fn renew_outgoing<T: Tables>(
    tables: &T,
    segment: &Segment,
    tuple: &FiveTuple,
    identity: FlowIdentity,
) -> bool {
    let now = tables.now();
    let Some(set) = tables.outgoing_set(identity.outgoing_set(tables.flow_sets())) else {
        return false;
    };
    let Some((way, flow)) = set.find(identity, now, tables.search()) else {
        return false;
    };
    if matches!(segment.protocol, Protocol::Tcp) {
        let phase = next_phase(&flow, segment);
        if set.renew(way, &flow, flow.grant, phase, now, &tables.rules().lives(tuple.kind)) {
            note_peer(tables, tuple, phase);
        }
    }
    true
}

/// Whether the segment says that its sender has taken the other end's SYN.
#[inline(always)]
fn acknowledges(segment: &Segment) -> bool {
    segment.flags.contains(TcpFlags::ACK) && !segment.flags.intersects(TcpFlags::SYN.union(TcpFlags::RST))
}

/// The phase of a TCP connection behind a packet of its remote end.
#[inline(always)]
fn next_phase(flow: &Flow, segment: &Segment) -> Phase {
    match flow.phase {
        _ if segment.flags.intersects(TcpFlags::FIN.union(TcpFlags::RST)) => Phase::Closing,
        Phase::Closing if !segment.has_payload => Phase::Closing,
        _ => Phase::Established,
    }
}

/// Records the flow that a SYN or datagram opens. `false`: it needs a token, and there is none.
#[inline(always)]
pub(crate) fn opens_flow<T: Tables>(
    tables: &T,
    packet: &Packet,
    segment: &Segment,
    granted: Granted,
    grant: GrantIndex,
) -> bool {
    let now = tables.now();
    let tuple = arriving(packet, segment);
    let identity = FlowIdentity::of(tables.hash_key(), &tuple);
    let Some(set) = tables.flow_set(identity.accepted_set(tables.flow_sets())) else {
        return !grant.is_limited();
    };
    let sequence = SequenceTag::of(segment.sequence_number);
    // The SYN or datagram again. A connection that is over has its SYN no more, and a new one needs a token.
    if let Some((_, flow)) = set.find(identity, now, tables.search())
        && flow.sequence == sequence
        && !matches!(flow.phase, Phase::Closing)
    {
        return true;
    }
    if grant.is_limited()
        && let Granted::Door(door) = granted
    {
        let key = ConnectionsKey { source: packet.source, door, padding: 0 };
        let lent = tables.change_connections(&key, |connections| connections.lend(identity, now));
        if lent != Some(true) {
            return false;
        }
    }
    let flow = NewFlow { phase: Phase::HalfOpen, sequence, grant };
    let lives = tables.rules().lives(tuple.kind);
    let recorded = set.record(identity, &flow, now, &lives, Eviction::SpareTheLive, tables.search());
    recorded || !grant.is_limited()
}

/// The other end of a flow has answered: the grant that let it in is in use, and a limited one has spent a token. Returns the
/// grant as the flow is to keep it: with its token still lent where another CPU was at the count.
#[inline(always)]
pub(crate) fn confirm<T: Tables>(
    tables: &T,
    tuple: &FiveTuple,
    flow: &Flow,
    identity: FlowIdentity,
) -> GrantIndex {
    if !matches!(flow.phase, Phase::HalfOpen) && !flow.grant.is_lent() {
        return flow.grant;
    }
    let index = flow.grant.index();
    let grant = tables
        .grants(&tuple.remote)
        .and_then(|grants| grants.all().get(index).map(|grant| (grant.granted(), grant.is_used())));
    let Some((granted, used)) = grant else {
        return flow.grant.spent();
    };
    let mut kept = flow.grant.spent();
    if flow.grant.is_limited()
        && let Granted::Door(door) = granted
    {
        let key = ConnectionsKey { source: tuple.remote, door, padding: 0 };
        let now = tables.now();
        if tables.change_connections(&key, |connections| connections.spend(identity, now)).is_none() {
            kept = flow.grant;
        }
    }
    if !used {
        let _ = tables.change_grants(&tuple.remote, |grants| grants.mark_used(index));
    }
    kept
}

/// Notes that the flow's remote end has a flow with this machine, for as long as one of its kind and phase lives.
#[inline(always)]
pub(crate) fn note_peer<T: Tables>(tables: &T, tuple: &FiveTuple, phase: Phase) {
    let life = tables.rules().lives(tuple.kind).of(phase);
    note_for(tables, &FiveTuple::of_peer(tuple.remote), life, Eviction::SoonerToEnd);
}

/// Notes something in the table of outgoing flows for `life` milliseconds, unless it is there for longer.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn note_for<T: Tables>(tables: &T, tuple: &FiveTuple, life: u64, eviction: Eviction) {
    let now = tables.now();
    let identity = FlowIdentity::of(tables.hash_key(), tuple);
    let Some(set) = tables.outgoing_set(identity.outgoing_set(tables.flow_sets())) else {
        return;
    };
    let lives = FlowLives::constant(life);
    match set.find(identity, now, tables.search()) {
        Some((_, noted)) if noted.deadline >= now.milliseconds() + life => {}
        Some((way, noted)) => {
            set.renew(way, &noted, noted.grant, Phase::Established, now, &lives);
        }
        None => {
            set.record(identity, &NewFlow::NOTE, now, &lives, eviction, tables.search());
        }
    }
}

/// Whether something is in the table of outgoing flows.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn is_noted<T: Tables>(tables: &T, tuple: &FiveTuple) -> bool {
    let identity = FlowIdentity::of(tables.hash_key(), tuple);
    match tables.outgoing_set(identity.outgoing_set(tables.flow_sets())) {
        Some(set) => set.find(identity, tables.now(), tables.search()).is_some(),
        None => false,
    }
}

/// The ends of the flow of a packet that has arrived.
#[inline(always)]
pub(crate) fn arriving(packet: &Packet, segment: &Segment) -> FiveTuple {
    FiveTuple {
        remote: packet.source,
        local: packet.destination,
        remote_port: segment.source_port,
        local_port: segment.destination_port,
        kind: FlowKind::of(segment.protocol),
    }
}

/// The ends of the flow of a packet that leaves.
#[inline(always)]
pub(crate) fn leaving(packet: &Packet, segment: &Segment) -> FiveTuple {
    FiveTuple {
        remote: packet.destination,
        local: packet.source,
        remote_port: segment.destination_port,
        local_port: segment.source_port,
        kind: FlowKind::of(segment.protocol),
    }
}
