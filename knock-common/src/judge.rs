//! What happens to a packet: the rules in their order, the first that applies decides.

use core::num::NonZero;

use crate::completion::complete;
use crate::connection::ConnectionsKey;
use crate::flags::TcpFlags;
use crate::flow::{FiveTuple, FlowIdentity, FlowLives, Phase};
use crate::grant::{GRANTS_PER_SOURCE, Granted};
use crate::matcher;
use crate::packet::{Content, NoPacket, Packet, Parsed, Segment};
use crate::port::Protocol;
use crate::reason::{Reason, Verdict};
use crate::rules::{DoorId, PortEntry, Relation, RelationKey, RuleOption, TRUST_EVERY_PORT, TRUST_NOBODY};
use crate::tables::Tables;

/// Decides about a packet, and changes the tables as it calls for.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, parsed: &Parsed) -> Judgement {
    let decided = match parsed {
        Err(NoPacket::NotIp) => Reason::NotIp,
        Err(NoPacket::Malformed) => Reason::Malformed,
        Ok(packet) => match &packet.content {
            Content::LaterFragment => Reason::Fragment,
            Content::Icmp => Reason::Icmp,
            Content::Other(_) => Reason::OtherProtocol,
            Content::Segment(segment) => {
                let (reason, completed) = judge_segment(tables, packet, segment);
                if let Some(door) = completed {
                    complete(tables, &packet.source, door.get());
                }
                reason
            }
        },
    };
    Judgement { decided, enforced: tables.rules().has(RuleOption::Enforce) }
}

/// What was decided, and whether it is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The rule that applied.
    pub decided: Reason,
    enforced: bool,
}

impl Judgement {
    /// The reason that counts: what would be dropped but is not has a reason of its own.
    #[inline(always)]
    pub const fn reason(&self) -> Reason {
        match self.decided.verdict() {
            Verdict::Drop if !self.enforced => Reason::WouldDrop,
            _ => self.decided,
        }
    }
}

#[inline(always)]
fn judge_segment<T: Tables>(
    tables: &T,
    packet: &Packet,
    segment: &Segment,
) -> (Reason, Option<NonZero<DoorId>>) {
    let entry = tables.port(segment.protocol, segment.destination_port);
    if entry.is(PortEntry::PUBLIC) {
        return (Reason::Public, None);
    }
    let hit = matcher::hit(tables, packet, segment, entry);
    let reason = if entry.is(PortEntry::PROTECTED) {
        judge_protected(tables, packet, segment, entry)
    } else if hit.is_some() {
        Reason::Knock
    } else {
        Reason::Unlisted
    };
    // The packet that completes a sequence is judged as if the grant did not exist yet: the matcher comes last.
    if segment.fragment || matches!(reason, Reason::Flow) {
        return (reason, None);
    }
    (reason, matcher::observe(tables, packet, segment, entry, hit))
}

#[inline(always)]
fn judge_protected<T: Tables>(tables: &T, packet: &Packet, segment: &Segment, entry: PortEntry) -> Reason {
    if matches!(segment.protocol, Protocol::Tcp)
        && !segment.fragment
        && !segment.opens_connection()
        && passes_as_flow(tables, packet, segment, entry)
    {
        return Reason::Flow;
    }
    if tables.rules().has(RuleOption::Trusted) && is_trusted(tables, packet, entry) {
        return Reason::Trusted;
    }
    if passes_as_granted(tables, packet, segment, entry) { Reason::Granted } else { Reason::NoGrant }
}

#[inline(always)]
fn is_trusted<T: Tables>(tables: &T, packet: &Packet, entry: PortEntry) -> bool {
    match tables.trust(&packet.source) {
        None | Some(TRUST_NOBODY) => false,
        Some(TRUST_EVERY_PORT) => true,
        Some(holder) => tables.related(&RelationKey {
            slot: tables.slot(),
            relation: Relation::Trusts as u32,
            holder,
            subject: entry.class(),
        }),
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

/// Whether the packet is part of a recorded connection, which it renews; with `established = "cut"` that alone does not
/// let it pass.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
fn passes_as_flow<T: Tables>(tables: &T, packet: &Packet, segment: &Segment, entry: PortEntry) -> bool {
    let identity = FlowIdentity::of(tables.hash_key(), &five_tuple(packet, segment));
    let Some(set) = tables.flow_set(identity.set(tables.flow_sets())) else {
        return false;
    };
    let now = tables.now();
    let Some((way, flow)) = set.find(identity, now) else {
        return false;
    };
    if matches!(flow.phase, Phase::HalfOpen) {
        confirm_connection(tables, packet, segment, entry, identity);
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

/// The client has answered: the grants that opened the port are in use, and a limited one has spent a token.
#[inline(always)]
fn confirm_connection<T: Tables>(
    tables: &T,
    packet: &Packet,
    segment: &Segment,
    entry: PortEntry,
    identity: FlowIdentity,
) {
    let now = tables.now();
    for index in 0..GRANTS_PER_SOURCE {
        let Some(grant) = tables.grants(&packet.source).and_then(|grants| grants.all().get(index).copied())
        else {
            return;
        };
        if grant.deadline().passed(now) || !opens(tables, grant.granted(), segment, entry) {
            continue;
        }
        if let Granted::Door(door) = grant.granted()
            && is_limited(tables, door)
        {
            let key = ConnectionsKey { source: packet.source, door, padding: 0 };
            let _ = tables.change_connections(&key, |connections| connections.spend(identity));
        }
        if !grant.is_used() {
            let _ = tables.change_grants(&packet.source, |grants| grants.mark_used(index));
        }
    }
}

/// Whether what was granted includes the segment's port.
#[inline(always)]
fn opens<T: Tables>(tables: &T, granted: Granted, segment: &Segment, entry: PortEntry) -> bool {
    match granted {
        Granted::Port(protocol, port) => {
            protocol as u8 == segment.protocol as u8 && port == segment.destination_port
        }
        Granted::Door(door) => tables.related(&RelationKey {
            slot: tables.slot(),
            relation: Relation::Opens as u32,
            holder: door,
            subject: entry.class(),
        }),
    }
}

#[inline(always)]
fn is_limited<T: Tables>(tables: &T, door: u32) -> bool {
    let slot = tables.slot();
    tables.related(&RelationKey { slot, relation: Relation::Limits as u32, holder: door, subject: 0 })
}

/// Whether a valid grant lets the packet pass. What opens a connection records its flow and, where connections are
/// limited, needs a token.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
fn passes_as_granted<T: Tables>(tables: &T, packet: &Packet, segment: &Segment, entry: PortEntry) -> bool {
    let Some(grants) = tables.grants(&packet.source) else {
        return false;
    };
    if !grants.is_of(&packet.source) {
        return false;
    }
    let now = tables.now();
    let mut unlimited = false;
    let mut limited = 0;
    for grant in grants.all() {
        if grant.deadline().passed(now) || !opens(tables, grant.granted(), segment, entry) {
            continue;
        }
        if !segment.opens_connection() {
            return true;
        }
        match grant.granted() {
            Granted::Door(door) if is_limited(tables, door) => limited = door,
            _ => unlimited = true,
        }
    }
    if !unlimited && limited == 0 {
        return false;
    }
    if segment.fragment {
        // Makes no flow, so that it can't be counted either.
        return unlimited;
    }
    let identity = FlowIdentity::of(tables.hash_key(), &five_tuple(packet, segment));
    let Some(set) = tables.flow_set(identity.set(tables.flow_sets())) else {
        return unlimited;
    };
    if let Some((_, flow)) = set.find(identity, now)
        && flow.sequence_number == segment.sequence_number
    {
        return true;
    }
    if !unlimited {
        let key = ConnectionsKey { source: packet.source, door: limited, padding: 0 };
        let lent = tables.change_connections(&key, |connections| connections.lend(identity, now));
        if lent != Some(true) {
            return false;
        }
    }
    let recorded = set.record(identity, Phase::HalfOpen, segment.sequence_number, now, &flow_lives(tables));
    unlimited || recorded
}
