//! Connections that were accepted under a grant: recorded, recognised and renewed.

use crate::connection::ConnectionsKey;
use crate::flags::TcpFlags;
use crate::flow::{FiveTuple, Flow, FlowIdentity, FlowLives, GrantIndex, NewFlow, Phase};
use crate::grant::Granted;
use crate::packet::{Packet, Segment};
use crate::port::Protocol;
use crate::rules::RuleOption;
use crate::tables::Tables;

/// A SYN without ACK is judged by trust or grant, so that no new connection rides on an old flow.
#[inline(always)]
pub(crate) fn could_be_of_flow(segment: &Segment) -> bool {
    matches!(segment.protocol, Protocol::Tcp) && !segment.opens_connection()
}

/// Whether the packet is part of a recorded connection, which it renews; with `established = "cut"` that alone does not
/// let it pass.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn passes_as_flow<T: Tables>(tables: &T, packet: &Packet, segment: &Segment) -> bool {
    let identity = FlowIdentity::of(tables.hash_key(), &five_tuple(packet, segment));
    let Some(set) = tables.flow_set(identity.set(tables.flow_sets())) else {
        return false;
    };
    let now = tables.now();
    let Some((way, flow)) = set.find(identity, now, tables.search()) else {
        return false;
    };
    if matches!(flow.phase, Phase::HalfOpen) || flow.grant.is_lent() {
        confirm_connection(tables, packet, &flow, identity);
    }
    let ends = segment.flags.intersects(TcpFlags::FIN.union(TcpFlags::RST));
    let phase = match flow.phase {
        _ if ends => Phase::Closing,
        Phase::Closing if !segment.has_payload => Phase::Closing,
        _ => Phase::Established,
    };
    set.renew(way, &flow, phase, now, &flow_lives(tables));
    !tables.rules().has(RuleOption::Cut)
}

/// Records the flow that a SYN opens. `false`: it needs a token, and there is none.
#[inline(always)]
pub(crate) fn opens_flow<T: Tables>(
    tables: &T,
    packet: &Packet,
    segment: &Segment,
    granted: Granted,
    grant: GrantIndex,
) -> bool {
    let now = tables.now();
    let identity = FlowIdentity::of(tables.hash_key(), &five_tuple(packet, segment));
    let Some(set) = tables.flow_set(identity.set(tables.flow_sets())) else {
        return !grant.is_limited();
    };
    if let Some((_, flow)) = set.find(identity, now, tables.search())
        && flow.sequence_number == segment.sequence_number
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
    let flow = NewFlow { phase: Phase::HalfOpen, sequence_number: segment.sequence_number, grant };
    let recorded = set.record(identity, &flow, now, &flow_lives(tables), tables.search());
    recorded || !grant.is_limited()
}

/// The client has answered: the grant that let the connection in is in use, and a limited one has spent a token.
#[inline(always)]
fn confirm_connection<T: Tables>(tables: &T, packet: &Packet, flow: &Flow, identity: FlowIdentity) {
    let index = flow.grant.index();
    let grant = tables
        .grants(&packet.source)
        .and_then(|grants| grants.all().get(index).map(|grant| (grant.granted(), grant.is_used())));
    let Some((granted, used)) = grant else {
        return;
    };
    if flow.grant.is_limited()
        && let Granted::Door(door) = granted
    {
        let key = ConnectionsKey { source: packet.source, door, padding: 0 };
        let now = tables.now();
        let _ = tables.change_connections(&key, |connections| connections.spend(identity, now));
    }
    if !used {
        let _ = tables.change_grants(&packet.source, |grants| grants.mark_used(index));
    }
}

#[inline(always)]
fn five_tuple(packet: &Packet, segment: &Segment) -> FiveTuple {
    FiveTuple {
        remote: packet.source,
        local: packet.destination,
        remote_port: segment.source_port,
        local_port: segment.destination_port,
    }
}

#[inline(always)]
fn flow_lives<T: Tables>(tables: &T) -> FlowLives {
    let rules = tables.rules();
    FlowLives { established: rules.flow_established, closing: rules.flow_closing }
}
