//! What happens to a packet: the rules in their order, the first that applies decides.

use core::num::NonZero;

use crate::connection::ConnectionsKey;
use crate::flags::TcpFlags;
use crate::flow::{FiveTuple, Flow, FlowIdentity, FlowLives, GrantIndex, NewFlow, Phase};
use crate::grant::Granted;
use crate::matcher;
use crate::packet::{Content, NoPacket, Packet, Segment};
use crate::port::Protocol;
use crate::reason::{Reason, Verdict};
use crate::rules::{DoorId, PortEntry, Relation, RelationKey, RuleOption, TRUST_EVERY_PORT, TRUST_NOBODY};
use crate::tables::Tables;

/// Decides about what a frame holds, and changes the tables as it calls for. What [`Judgement::completed`] names is to be
/// opened by [`crate::completion::complete`] afterwards.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, parsed: Result<&Packet, NoPacket>) -> Judgement {
    let mut completed = None;
    let decided = match parsed {
        Err(NoPacket::NotIp) => Reason::NotIp,
        Err(NoPacket::Malformed) => Reason::Malformed,
        Ok(packet) => match packet.content() {
            Content::LaterFragment => Reason::Fragment,
            Content::Icmp => Reason::Icmp,
            Content::Other(_) => Reason::OtherProtocol,
            Content::Segment(segment) => judge_segment(tables, packet, segment, &mut completed),
        },
    };
    Judgement { decided, enforced: tables.rules().has(RuleOption::Enforce), completed }
}

/// What was decided, and whether it is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The rule that applied.
    pub decided: Reason,
    enforced: bool,
    /// The door whose sequence the packet completes: it is judged as if the grant did not exist yet.
    pub completed: Option<NonZero<DoorId>>,
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
    completed: &mut Option<NonZero<DoorId>>,
) -> Reason {
    let entry = tables.port(segment.protocol, segment.destination_port);
    if entry.is(PortEntry::PUBLIC) {
        return Reason::Public;
    }
    let protected = entry.is(PortEntry::PROTECTED);
    if protected && could_be_of_flow(segment) && passes_as_flow(tables, packet, segment) {
        return Reason::Flow;
    }
    let hit = matcher::hit(tables, packet, segment, entry);
    // What was learnt of the entry would part the ways through all that follows.
    let entry = PortEntry::from_bits(tables.unfollowed(entry.bits() as u64) as u32);
    let protected = entry.is(PortEntry::PROTECTED);
    if !segment.fragment {
        *completed = matcher::observe(tables, packet, segment, entry, hit);
    }
    if !protected {
        return if hit.is_some() { Reason::Knock } else { Reason::Unlisted };
    }
    if tables.rules().has(RuleOption::Trusted) && is_trusted(tables, packet, entry) {
        return Reason::Trusted;
    }
    if passes_as_granted(tables, packet, segment, entry) { Reason::Granted } else { Reason::NoGrant }
}

/// A SYN without ACK is judged by trust or grant, so that no new connection rides on an old flow.
#[inline(always)]
fn could_be_of_flow(segment: &Segment) -> bool {
    matches!(segment.protocol, Protocol::Tcp) && !segment.opens_connection()
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
fn passes_as_flow<T: Tables>(tables: &T, packet: &Packet, segment: &Segment) -> bool {
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

/// Whether the port is closed to others, and trust or a valid grant, were it used up, opens it to the packet's source.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn is_open_to_source<T: Tables>(
    tables: &T,
    packet: &Packet,
    segment: &Segment,
    entry: PortEntry,
) -> bool {
    if !entry.is(PortEntry::PROTECTED) {
        return false;
    }
    if tables.rules().has(RuleOption::Trusted) && is_trusted(tables, packet, entry) {
        return true;
    }
    let Some(grants) = tables.grants(&packet.source) else {
        return false;
    };
    let now = tables.now();
    grants.is_of(&packet.source)
        && grants
            .all()
            .iter()
            .any(|grant| !grant.deadline().passed(now) && opens(tables, grant.granted(), segment, entry))
}

#[inline(always)]
fn is_limited<T: Tables>(tables: &T, granted: Granted) -> bool {
    match granted {
        Granted::Port(..) => false,
        Granted::Door(holder) => tables.related(&RelationKey {
            slot: tables.slot(),
            relation: Relation::Limits as u32,
            holder,
            subject: 0,
        }),
    }
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
    let search = tables.search();
    search.begin();
    for (index, grant) in grants.all().iter().enumerate() {
        if grant.deadline().passed(now) || !opens(tables, grant.granted(), segment, entry) {
            continue;
        }
        if !segment.opens_connection() {
            return true;
        }
        search.consider(index, is_limited(tables, grant.granted()) as u64);
    }
    let Some(index) = search.best() else {
        return false;
    };
    let grant = GrantIndex::new(index, search.lowest() != 0);
    if segment.fragment {
        // Makes no flow, so that it can't be counted either.
        return !grant.is_limited();
    }
    match grants.all().get(grant.index()).map(|grant| grant.granted()) {
        Some(granted) => opens_flow(tables, packet, segment, granted, grant),
        None => false,
    }
}

/// Records the flow that a SYN opens. `false`: it needs a token, and there is none.
#[inline(always)]
fn opens_flow<T: Tables>(
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
