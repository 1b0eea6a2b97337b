//! The table of grants: changes to one source's entry, and who goes when the table is full.
//!
//! Entries are replaced whole, by key, never written in place: a pointer into the table may by then belong to another source,
//! which would be let in.

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use knock_common::address::Address;
use knock_common::connection::ConnectionsKey;
use knock_common::grant::SourceGrants;
use knock_common::lock::{LOCK_LIFE, TABLE_LOCK};
use knock_common::tables::TableFull;
use knock_common::time::Boottime;

use crate::maps::{GRANT_CAPACITY, GRANT_CURSOR, GRANT_SOURCES, GRANTS, GRANTS_SCRATCH, LOCKS, Scratch};
use crate::word::read_until_here;

/// Sources looked at for one to give up.
const CANDIDATES: u32 = 16;
/// Tries to get hold of the lock; another CPU holds it for the length of one insertion.
const LOCK_TRIES: u32 = 16;

/// Gives `change` a copy of the source's grants and puts the copy in their place. `None`: it has none.
#[inline(always)]
pub fn change<R>(source: &Address, change: impl FnOnce(&mut SourceGrants) -> R) -> Option<R> {
    let grants = copy(source)?;
    let result = change(grants);
    if replace(source, grants) { Some(result) } else { None }
}

/// As [`change`], and makes an entry where there is none.
#[inline(always)]
pub fn add<R>(
    source: &Address,
    now: Boottime,
    scratch: &Scratch,
    change: impl FnOnce(&mut SourceGrants) -> R,
) -> Result<R, TableFull> {
    let existing = copy(source);
    let is_new = existing.is_none();
    let grants = match existing {
        Some(grants) => grants,
        None => room().ok_or(TableFull)?,
    };
    if is_new {
        grants.reset(source);
    }
    let result = change(grants);
    let stored = if is_new { add_source(source, grants, now, scratch) } else { replace(source, grants) };
    if stored { Ok(result) } else { Err(TableFull) }
}

/// This CPU's room to change grants in.
#[inline(always)]
fn room() -> Option<&'static mut SourceGrants> {
    // SAFETY: the value is this CPU's own, the program is not interrupted by itself, and both callers drop the reference
    // before they ask again.
    GRANTS_SCRATCH.get_ptr_mut(0).map(|room| unsafe { &mut *room })
}

#[inline(always)]
fn copy(source: &Address) -> Option<&'static mut SourceGrants> {
    let existing = GRANTS.get_ptr(source)?;
    let copy = room()?;
    // SAFETY: two maps' values don't overlap (said this way, because a plain copy becomes a call of `memmove`).
    unsafe { core::ptr::copy_nonoverlapping(existing, copy, 1) };
    // SAFETY: the entry stays mapped until the program ends.
    if is_still_of(unsafe { &*existing }, source) { Some(copy) } else { None }
}

/// See [`knock_common::tables::Tables::is_still_of`].
#[inline(always)]
pub fn is_still_of(grants: &SourceGrants, source: &Address) -> bool {
    read_until_here();
    grants.is_of(source)
}

#[inline(always)]
fn replace(source: &Address, grants: &SourceGrants) -> bool {
    GRANTS.insert(source, grants, BPF_ANY as u64).is_ok()
}

/// Adds a source, in the place of another if it must be.
#[inline(always)]
fn add_source(source: &Address, grants: &SourceGrants, now: Boottime, scratch: &Scratch) -> bool {
    if !lock_patiently(&TABLE_LOCK, now) {
        return false;
    }
    let added = match GRANT_CURSOR.get_ptr_mut(0) {
        // SAFETY: only the holder of the table's lock touches the cursor.
        Some(cursor) => add_at(source, grants, unsafe { &mut *cursor }, now, scratch),
        None => false,
    };
    unlock(&TABLE_LOCK);
    added
}

#[inline(always)]
fn add_at(
    source: &Address,
    grants: &SourceGrants,
    cursor: &mut u32,
    now: Boottime,
    scratch: &Scratch,
) -> bool {
    let capacity = GRANT_CAPACITY.load().max(1);
    if replace(source, grants) {
        // Until the table has been full once, the places behind the cursor are free.
        if *cursor < capacity {
            let _ = GRANT_SOURCES.set(*cursor, source, 0);
            *cursor += 1;
        }
        return true;
    }
    // From here on the cursor counts on, and its remainder is where the search begins.
    let search = &scratch.search;
    search.begin();
    for step in 0..CANDIDATES {
        let index = cursor.wrapping_add(step) % capacity;
        let Some(candidate) = GRANT_SOURCES.get(index) else {
            break;
        };
        // One that is not in the table would free no room.
        // SAFETY: a torn read can only misjudge how dispensable a candidate is.
        if let Some(grants) = unsafe { GRANTS.get(candidate) } {
            search.consider(index as usize, grants.eviction_rank(now, |rank| scratch.unfollowed(rank)));
        }
    }
    *cursor = capacity + (cursor.wrapping_add(CANDIDATES) % capacity);
    let Some(index) = search.best() else {
        return false;
    };
    let index = index as u32;
    if let Some(candidate) = GRANT_SOURCES.get(index) {
        let _ = GRANTS.remove(candidate);
    }
    let added = replace(source, grants);
    if added {
        let _ = GRANT_SOURCES.set(index, source, 0);
    }
    added
}

#[inline(always)]
fn lock_patiently(key: &ConnectionsKey, now: Boottime) -> bool {
    for _ in 0..LOCK_TRIES {
        if lock(key, now) {
            return true;
        }
    }
    false
}

/// Takes the lock, also from somebody who has held it for longer than anybody does.
#[inline(always)]
pub fn lock(key: &ConnectionsKey, now: Boottime) -> bool {
    if LOCKS.insert(key, now.nanoseconds(), BPF_NOEXIST as u64).is_ok() {
        return true;
    }
    // SAFETY: a torn time can only make the lock look held, or be given back one turn early after it was reused.
    let since = match unsafe { LOCKS.get(key) } {
        Some(since) => *since,
        None => return false,
    };
    if now.nanoseconds().saturating_sub(since) > LOCK_LIFE {
        // Whoever removes it does not have it yet: the next try decides.
        let _ = LOCKS.remove(key);
    }
    false
}

#[inline(always)]
pub fn unlock(key: &ConnectionsKey) {
    let _ = LOCKS.remove(key);
}
