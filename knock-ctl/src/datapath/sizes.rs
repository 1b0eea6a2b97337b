//! How large the tables are made, and what that costs.

use knock_common::attempt::{ATTEMPT_WAYS, AttemptSet};
use knock_common::connection::Connections;
use knock_common::drops::{DROP_ENTRIES, DropRecord};
use knock_common::event::{Event, RING_EVENTS};
use knock_common::flow::{FLOW_WAYS, FlowSet};
use knock_common::grant::SourceGrants;
use knock_common::rules::{PORT_ENTRIES, RuleOption};
use knock_common::scanner::{Scan, ScannedKey};

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
/// Kernel bytes per entry of a preallocated hash map, besides key and value, and per bucket.
const HASH_ENTRY: u64 = 48;
const HASH_BUCKET: u64 = 16;

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

    /// Kernel memory that the tables take, in bytes.
    pub fn memory(&self) -> u64 {
        let hash = |entries: u32, key: usize, value: usize| {
            u64::from(entries) * (HASH_ENTRY + key as u64 + value as u64)
                + u64::from(entries.next_power_of_two()) * HASH_BUCKET
        };
        let array = |entries: u32, value: usize| u64::from(entries) * value.next_multiple_of(8) as u64;
        let rule_maps = 8;
        array(self.attempt_sets, size_of::<AttemptSet<u64>>())
            + 2 * array(self.flow_sets, size_of::<FlowSet<u64>>())
            + hash(self.scans, 16, size_of::<Scan>())
            + hash(self.scans * PORTS_PER_SCAN, size_of::<ScannedKey>(), 8)
            + hash(self.grants, 16, size_of::<SourceGrants>())
            + array(self.grants, 16)
            + hash(self.connections, 24, size_of::<Connections>())
            + hash(self.taken, 40, 8)
            + array(2 * PORT_ENTRIES, 4)
            + rule_maps * u64::from(self.rules.next_power_of_two()) * HASH_BUCKET
            + array(self.cpus * RING_EVENTS, size_of::<Event>())
            + array(self.cpus * DROP_ENTRIES, size_of::<DropRecord>())
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
        let memory = sizes.memory();
        assert!(memory <= 64 << 20, "{} KiB", memory >> 10);
    }
}
