//! What follows from a complete sequence: grants given, grants taken, and the news of it.

use crate::address::Address;
use crate::connection::ConnectionsKey;
use crate::event::{Event, EventKind, Refusal};
use crate::grant::{Change, GRANTS_PER_SOURCE, Granted, GrantedBy};
use crate::rules::{Door, DoorId, DoorKey, Relation, RelationKey, SequenceId};
use crate::source::SourceIdentity;
use crate::tables::{TableFull, Tables};
use crate::time::Deadline;

/// Opens `door` to `source`, and closes what it revokes. `door` may be one of the door's one-time sequences instead.
#[inline(always)]
pub fn complete<T: Tables>(tables: &T, source: &Address, door: DoorId) {
    let (slot, sequence) = (tables.slot(), door);
    let Some(rule) = tables.door(&DoorKey { slot, door }) else {
        return;
    };
    let door = if rule.one_time_of == 0 { door } else { rule.one_time_of };
    if rule.one_time_of != 0 && !uses_up(tables, sequence, rule.after) {
        return;
    }
    if rule.revokes != 0 {
        revoke(tables, source, door);
    }
    open(tables, source, door, &rule);
}

/// Whether a one-time sequence is the next one and nobody has used it: from now on somebody has.
#[inline(always)]
fn uses_up<T: Tables>(tables: &T, sequence: SequenceId, after: SequenceId) -> bool {
    (after == 0 || tables.is_used(after)) && tables.use_up(sequence)
}

/// Writes the grant, where the door gives one, and reports what came of it.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
fn open<T: Tables>(tables: &T, source: &Address, door: DoorId, rule: &Door) {
    let now = tables.now();
    let mut event = Event::new(EventKind::Open, *source, door, now);
    if rule.grants == 0 {
        return tables.report(&mut event);
    }
    let deadline = match rule.open_for {
        u64::MAX => Deadline::FOREVER,
        open_for => Deadline::at(now.plus_nanoseconds(open_for)),
    };
    let granted_by = if rule.one_time_of == 0 { GrantedBy::Knock } else { GrantedBy::OneTime };
    // One like it was reported within this second.
    let mut suppressed = false;
    tables.mark_granted(SourceIdentity::of(tables.hash_key(), source));
    let change = tables.add_grants(source, |grants| {
        grants.grant(Granted::Door(door), granted_by, deadline, now, tables.search())
    });
    match change {
        Ok(Change::Opened(deadline)) => event.deadline = deadline.nanoseconds(),
        Ok(Change::Extended { deadline, again }) => {
            event.kind = EventKind::Refresh as u32;
            event.deadline = deadline.nanoseconds();
            suppressed = again;
        }
        Ok(Change::Full) => event.refuse(Refusal::SourceFull),
        Err(TableFull) => event.refuse(Refusal::TableFull),
    }
    if rule.connections != 0 && event.deadline != 0 {
        let key = ConnectionsKey { source: *source, door, padding: 0 };
        tables.allow_connections(&key, rule.connections);
    }
    if suppressed {
        tables.count_suppressed();
    } else {
        tables.report(&mut event);
    }
}

/// Takes the source's grants of the doors that `closing_door` revokes.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
fn revoke<T: Tables>(tables: &T, source: &Address, closing_door: DoorId) {
    let now = tables.now();
    for index in 0..GRANTS_PER_SOURCE {
        let grant = tables
            .grants(source)
            .and_then(|grants| grants.all().get(index).map(|grant| (grant.granted(), grant.deadline())));
        let Some((Granted::Door(door), deadline)) = grant else {
            continue;
        };
        let key = RelationKey {
            slot: tables.slot(),
            relation: Relation::Revokes as u32,
            holder: closing_door,
            subject: door,
        };
        if deadline.passed(now) || !tables.related(&key) {
            continue;
        }
        if tables.change_grants(source, |grants| grants.revoke(Granted::Door(door), now)) == Some(true) {
            let mut event = Event::new(EventKind::Close, *source, door, now);
            event.deadline = now.nanoseconds();
            tables.report(&mut event);
        }
    }
}
