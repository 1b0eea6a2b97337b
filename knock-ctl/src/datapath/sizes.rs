//! How large the tables are made, and what that costs.

use knock_common::address::Address;
use knock_common::attempt::{ATTEMPT_WAYS, AttemptSet, AttemptTags};
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::drops::{DROP_ENTRIES, DropRecord};
use knock_common::event::{Event, RING_EVENTS};
use knock_common::flow::{FLOW_WAYS, FlowSet};
use knock_common::grant::SourceGrants;
use knock_common::reason::{COUNTED_INTERFACES, REASON_SLOTS};
use knock_common::rules::{
    Door, DoorId, DoorKey, Edge, EdgeKey, Hit, HitKey, LISTENER_WORDS, OccurrenceKey, Occurrences,
    PORT_ENTRIES, PortPair, RelationKey, RuleOption, SequenceId, State, StateKey, TargetKey, USED_SEQUENCES,
};
use knock_common::scanner::{Scan, ScannedKey};
use knock_common::source::GRANTED_MARKS;
use knock_common::tables::TakenKey;

use super::map_cost::MapCost;
use crate::rules::Compiled;

/// Least number of entries in each map of rules, so that rules can grow without making the tables anew.
const RULE_ENTRIES_LEAST: u32 = 8192;
/// Sources whose connections can be counted, where the first rules limit nobody's: later rules may.
const CONNECTIONS_LEAST: u32 = 256;
/// Knocks on ports that a sequence has more than once: those of many clients at a time.
const KNOCKS_REMEMBERED: u32 = 2048;
/// Sources whose hits on closed ports are counted, where the first rules hold scanners, and where they don't but later ones
/// may.
const SCANS: u32 = 16_384;
const SCANS_LEAST: u32 = 512;
/// Closed ports that are remembered for each of them, on the average.
pub(super) const PORTS_PER_SCAN: u32 = 4;
/// Entries in the map of locks.
const LOCKS: u32 = 1024;
/// Maps of one value, none larger than the grants of one source.
const SMALL_MAPS: u64 = 14;
/// Kernel bytes of a node of the tree of prefixes: there is one for each prefix, and at most as many where they part.
const TRIE_NODE: u64 = 64;

/// Sizes that are set when the maps are made, and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSizes {
    /// Powers of two.
    pub attempt_sets: u32,
    pub flow_sets: u32,
    /// Sources with grants.
    pub grants: u32,
    /// Sources whose connections are counted.
    pub connections: u32,
    /// Knocks remembered on ports that a sequence has more than once.
    pub taken: u32,
    /// Sources whose hits on closed ports are counted.
    pub scans: u32,
    /// Entries in each map of rules, for both slots.
    pub rules: u32,
    pub cpus: u32,
}

impl TableSizes {
    /// For at least so many attempts, flows and grants, and rules twice as large as `compiled`.
    pub fn new(attempts: u32, flows: u32, grants: u32, compiled: &Compiled, cpus: u32) -> Self {
        let limits_connections = compiled.doors.iter().any(|(_, door)| door.connections != 0);
        let largest = compiled.largest_map() as u32;
        Self {
            attempt_sets: sets(attempts, ATTEMPT_WAYS),
            flow_sets: sets(flows, FLOW_WAYS),
            grants: grants.max(1),
            connections: if limits_connections { grants.max(1) } else { grants.clamp(1, CONNECTIONS_LEAST) },
            taken: KNOCKS_REMEMBERED,
            scans: if compiled.rules.has(RuleOption::Scanners) { SCANS } else { SCANS_LEAST },
            rules: largest.saturating_mul(4).max(RULE_ENTRIES_LEAST),
            cpus: cpus.max(1),
        }
    }

    /// Kernel memory that the tables take with these rules, in bytes: at most, which is with both slots full of them.
    pub fn memory(&self, compiled: &Compiled) -> u64 {
        let cost = MapCost { cpus: u64::from(self.cpus) };
        cost.mapped_array(self.attempt_sets, size_of::<AttemptSet<u64>>())
            + cost.mapped_array(self.attempt_sets, size_of::<AttemptTags<u64>>())
            + 2 * cost.mapped_array(self.flow_sets, size_of::<FlowSet<u64>>())
            + cost.hash(self.scans, size_of::<Address>(), size_of::<Scan>())
            + cost.hash(self.scans * PORTS_PER_SCAN, size_of::<ScannedKey>(), 8)
            + cost.hash(self.grants, size_of::<Address>(), size_of::<SourceGrants>())
            + cost.array(self.grants, size_of::<Address>())
            + cost.hash(self.connections, size_of::<ConnectionsKey>(), size_of::<Connections>())
            + cost.mapped_array(GRANTED_MARKS / 8, 8)
            + cost.hash(LOCKS, size_of::<ConnectionsKey>(), 8)
            + cost.hash(self.taken, size_of::<TakenKey>(), 4)
            + cost.hash(USED_SEQUENCES, size_of::<SequenceId>(), 4)
            + cost.array(self.cpus * RING_EVENTS, size_of::<Event>())
            + cost.per_cpu_array(DROP_ENTRIES, size_of::<DropRecord>())
            + cost.per_cpu_array(1, size_of::<[u64; 256]>())
            + cost.per_cpu_array(COUNTED_INTERFACES, size_of::<[u64; REASON_SLOTS]>())
            + cost.mapped_array(LISTENER_WORDS, 8)
            + SMALL_MAPS * cost.per_cpu_array(1, size_of::<SourceGrants>())
            + self.memory_of_rules(compiled, &cost)
    }

    fn memory_of_rules(&self, compiled: &Compiled, cost: &MapCost) -> u64 {
        let hash = |entries: usize, key: usize, value: usize| {
            cost.growing_hash(self.rules, 2 * entries as u64, key, value)
        };
        cost.mapped_array(PORT_ENTRIES, size_of::<PortPair>())
            + hash(compiled.hits.len(), size_of::<HitKey>(), size_of::<Hit>())
            + hash(compiled.edges.len(), size_of::<EdgeKey>(), size_of::<Edge>())
            + hash(compiled.states.len(), size_of::<StateKey>(), size_of::<State>())
            + hash(compiled.occurrences.len(), size_of::<OccurrenceKey>(), size_of::<Occurrences>())
            + hash(compiled.doors.len(), size_of::<DoorKey>(), size_of::<Door>())
            + hash(compiled.relations.len(), size_of::<RelationKey>(), 4)
            + hash(compiled.targets.len(), size_of::<TargetKey>(), 4)
            + hash(compiled.destinations.len(), size_of::<TargetKey>(), 4)
            // Of each opening also where the CPUs' counts lie.
            + hash(compiled.doors.len(), size_of::<DoorId>(), 16 + 8 * self.cpus as usize)
            + 2 * TRIE_NODE * 2 * compiled.trusted.len() as u64
    }
}

/// Sets of `ways` entries for `entries` entries: a power of two.
fn sets(entries: u32, ways: usize) -> u32 {
    entries.div_ceil(ways as u32).max(1).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{PreviousStates, RuleSet, compile};

    #[test]
    fn the_defaults_cost_at_most_64_mib() {
        let compiled = compile(&RuleSet::default(), &PreviousStates::new()).unwrap();
        let sizes = TableSizes::new(2_097_152, 262_144, 65_536, &compiled, 8);
        assert_eq!((sizes.attempt_sets, sizes.flow_sets), (131_072, 16_384));
        let memory = sizes.memory(&compiled);
        assert!(memory <= 64 << 20, "{} KiB", memory >> 10);
    }
}
