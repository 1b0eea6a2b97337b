//! Who may reach a closed port: by trust, or by a grant.

use crate::address::Address;
use crate::flow::{FiveTuple, GrantIndex};
use crate::grant::Granted;
use crate::packet::{Packet, Segment};
use crate::port::Protocol;
use crate::rules::{PortEntry, Relation, RelationKey, RuleOption, TRUST_EVERY_PORT, TRUST_NOBODY};
use crate::tables::Tables;
use crate::tracking::{is_noted, opens_flow};

#[inline(always)]
pub(crate) fn is_trusted<T: Tables>(tables: &T, source: &Address, entry: PortEntry) -> bool {
    if !tables.rules().has(RuleOption::Trusted) {
        return false;
    }
    match tables.trust(source) {
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
    let now = tables.now();
    let search = tables.search();
    search.begin();
    for (index, grant) in grants.all().iter().enumerate() {
        if grant.passed(now)
            || !opens(tables, grant.granted(), segment.protocol, segment.destination_port, entry)
        {
            continue;
        }
        if matches!(segment.protocol, Protocol::Tcp) && !segment.opens_connection() {
            return tables.is_still_of(&grants, &packet.source);
        }
        search.consider(index, is_limited(tables, grant.granted()) as u64);
    }
    let Some(index) = search.best() else {
        return false;
    };
    let grant = GrantIndex::new(index, search.lowest() != 0);
    let granted = grants.all().get(grant.index()).map(|grant| grant.granted());
    if !tables.is_still_of(&grants, &packet.source) {
        return false;
    }
    if segment.fragment {
        // Makes no flow, so that it can't be counted either.
        return !grant.is_limited();
    }
    match granted {
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
    entry.is(PortEntry::CLOSED)
        && (is_trusted(tables, &packet.source, entry)
            || is_granted(tables, &packet.source, segment.protocol, segment.destination_port, entry))
}

/// Whether a valid grant, were it used up, opens the port to the source.
#[inline(always)]
pub(crate) fn is_granted<T: Tables>(
    tables: &T,
    source: &Address,
    protocol: Protocol,
    port: u16,
    entry: PortEntry,
) -> bool {
    holds_grant(tables, source, |granted| opens(tables, granted, protocol, port, entry))
}

/// Whether the source is more than a stranger: trusted for some port, granted something, or one that has a flow here.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn is_known<T: Tables>(tables: &T, source: &Address) -> bool {
    if tables.rules().has(RuleOption::Trusted) && !matches!(tables.trust(source), None | Some(TRUST_NOBODY)) {
        return true;
    }
    holds_grant(tables, source, |_| true) || is_noted(tables, &FiveTuple::of_peer(*source))
}

/// Whether the source has a valid grant, used up or not, of what is asked for.
#[inline(always)]
fn holds_grant<T: Tables>(tables: &T, source: &Address, is_it: impl Fn(Granted) -> bool) -> bool {
    let Some(grants) = tables.grants(source) else {
        return false;
    };
    let now = tables.now();
    let search = tables.search();
    search.begin();
    for (index, grant) in grants.all().iter().enumerate() {
        if !grant.passed(now) && is_it(grant.granted()) {
            search.consider(index, 0);
        }
    }
    tables.is_still_of(&grants, source) && search.best().is_some()
}

/// Whether what was granted includes the port.
#[inline(always)]
fn opens<T: Tables>(tables: &T, granted: Granted, protocol: Protocol, port: u16, entry: PortEntry) -> bool {
    match granted {
        Granted::Port(granted, number) => granted as u8 == protocol as u8 && number == port,
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
