//! What is remembered for some time, and forgotten unless it is renewed.

use super::flow;
use std::collections::HashMap;
use std::hash::Hash;

/// What is noted, and until when.
pub(super) type Notes<K> = HashMap<K, u64>;

/// Notes something for so long, unless that is noted for longer, or for a little less.
pub(super) fn note<K: Eq + Hash>(notes: &mut Notes<K>, now_ms: u64, what: K, life_ms: u64) {
    let until_ms = now_ms.saturating_add(life_ms);
    let is_enough = |noted_ms: u64| {
        now_ms < noted_ms && (until_ms <= noted_ms || !flow::is_worth_it(until_ms - noted_ms, life_ms))
    };
    if !notes.get(&what).copied().is_some_and(is_enough) {
        notes.insert(what, until_ms);
    }
}

pub(super) fn is_noted<K: Eq + Hash>(notes: &Notes<K>, now_ms: u64, what: &K) -> bool {
    notes.get(what).is_some_and(|until_ms| now_ms < *until_ms)
}
