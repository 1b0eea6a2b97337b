//! Who may reach a protected port: by trust, or by a grant.

use crate::flow::GrantIndex;
use crate::grant::Granted;
use crate::packet::{Packet, Segment};
use crate::rules::{PortEntry, Relation, RelationKey, RuleOption, TRUST_EVERY_PORT, TRUST_NOBODY};
use crate::tables::Tables;
use crate::tracking::opens_flow;

#[inline(always)]
pub(crate) fn is_trusted<T: Tables>(tables: &T, packet: &Packet, entry: PortEntry) -> bool {
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

/// Whether a valid grant lets the packet pass. What opens a connection records its flow and, where connections are
/// limited, needs a token.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn passes_as_granted<T: Tables>(
    tables: &T,
    packet: &Packet,
    segment: &Segment,
    entry: PortEntry,
) -> bool {
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
