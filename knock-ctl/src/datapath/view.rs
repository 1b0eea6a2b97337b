//! The rules in force and what is kept of one source, copied out of the maps: to judge a packet that never came.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use aya::maps::{HashMap, MapData};
use knock_common::address::Address;
use knock_common::attempt::Attempt;
use knock_common::connection::ConnectionsKey;
use knock_common::flow::{FiveTuple, Flow, FlowIdentity};
use knock_common::grant::Granted;
use knock_common::port::Protocol;
use knock_common::rules::{
    DoorKey, EdgeKey, HitKey, OccurrenceKey, PORT_ENTRIES, PortEntry, RelationKey, RuleOption, Slot,
    StateKey, TargetKey, listener_bit,
};
use knock_common::scanner::Scan;
use knock_common::search::Search;
use knock_common::source::SourceIdentity;
use knock_common::tables::Tables;
use knock_common::time::Boottime;

use super::DatapathError;
use super::maps::Maps;
use super::pod::Shared;
use super::reach::found;
use crate::rules::{Compiled, MemoryTables};

/// Pushes the entries of one slot, as those of slot 0.
macro_rules! of_slot {
    ($map:expr, $name:literal, $slot:expr, $key:ident) => {{
        let mut entries = Vec::new();
        for entry in $map.iter() {
            let (key, value) = entry.map_err(DatapathError::map($name))?;
            if key.0.slot == $slot {
                entries.push(($key { slot: 0, ..key.0 }, value));
            }
        }
        entries
    }};
}

impl Maps {
    /// The rules in a slot, in which each step is an event. Doors have no names here.
    pub fn read_back(&self, slot: Slot) -> Result<Compiled, DatapathError> {
        let mut rules = self.active_rules()?;
        rules.set(RuleOption::Stages, true);
        let mut trusted = Vec::new();
        for entry in self.trusted.iter() {
            let (key, trust) = entry.map_err(DatapathError::map("TRUSTED"))?;
            if key.data().0.slot == slot.to_be_bytes() {
                trusted.push((key.prefix_len(), key.data().0.address, trust));
            }
        }
        let first = (slot * PORT_ENTRIES / 2) as usize;
        let cells = self.ports.elements().iter().skip(first).flatten().take(PORT_ENTRIES as usize);
        let doors = unwrapped(of_slot!(self.doors, "DOORS", slot, DoorKey));
        Ok(Compiled {
            rules,
            ports: cells.map(|cell| PortEntry::from_bits(cell.load(Relaxed))).collect(),
            hits: unwrapped(of_slot!(self.hits, "HITS", slot, HitKey)),
            edges: unwrapped(of_slot!(self.edges, "EDGES", slot, EdgeKey)),
            states: unwrapped(of_slot!(self.states, "STATES", slot, StateKey)),
            occurrences: of_slot!(self.occurrences, "OCCURRENCES", slot, OccurrenceKey),
            relations: of_slot!(self.relations, "RELATIONS", slot, RelationKey)
                .into_iter()
                .map(|(key, _)| key)
                .collect(),
            targets: self.addresses(&self.targets, "TARGETS", slot)?,
            destinations: self
                .addresses(&self.destinations, "DESTINATIONS", slot)?
                .into_iter()
                .map(|(address, _)| address)
                .collect(),
            trusted,
            one_time: doors
                .iter()
                .filter(|(_, door)| door.one_time_of != 0)
                .map(|(key, door)| (key.door, door.one_time_of))
                .collect(),
            doors,
            names: Default::default(),
        })
    }

    fn addresses(
        &self,
        map: &HashMap<MapData, Shared<TargetKey>, u32>,
        name: &'static str,
        slot: Slot,
    ) -> Result<Vec<(Address, u32)>, DatapathError> {
        let mut addresses = Vec::new();
        for entry in map.iter() {
            let (key, value) = entry.map_err(DatapathError::map(name))?;
            if key.0.slot == u64::from(slot) {
                addresses.push((key.0.address, value));
            }
        }
        Ok(addresses)
    }

    /// Empty tables in memory for rules, of the size and with the hash of those in the maps.
    pub fn tables_in_memory(&self, compiled: Compiled) -> Result<MemoryTables, DatapathError> {
        let sizes = self.sizes();
        let tables = MemoryTables::with_sets(compiled, sizes.attempt_sets, sizes.flow_sets);
        for sequence in self.used_sequences()? {
            tables.use_up(sequence);
        }
        Ok(tables.with_hash_key(self.control()?.hash_key))
    }

    /// Copies all that a packet of this flow is judged by, in the place of what was copied before for the same source.
    pub fn copy_for(
        &self,
        tables: &mut MemoryTables,
        tuple: &FiveTuple,
        protocol: Protocol,
    ) -> Result<(), DatapathError> {
        let source = tuple.remote;
        let key = *tables.hash_key();
        let attempts = SourceIdentity::of(&key, &source).set(tables.attempt_sets());
        if let (Some(copy), Some(set)) =
            (tables.attempt_set(attempts), self.attempts.elements().get(attempts as usize))
        {
            copy.copy_from(set);
        }
        if let (Some(copy), Some(tags)) =
            (tables.attempt_tags(attempts), self.attempt_tags.elements().get(attempts as usize))
        {
            copy.copy_from(tags);
        }
        let (flow, peer) =
            (FlowIdentity::of(&key, tuple), FlowIdentity::of(&key, &FiveTuple::of_peer(source)));
        let accepted = flow.accepted_set(tables.flow_sets());
        if let (Some(copy), Some(set)) =
            (tables.flow_set(accepted), self.flows.elements().get(accepted as usize))
        {
            copy.copy_from(set);
        }
        for outgoing in [flow, peer].map(|identity| identity.outgoing_set(tables.flow_sets())) {
            if let (Some(copy), Some(set)) =
                (tables.outgoing_set(outgoing), self.outgoing.elements().get(outgoing as usize))
            {
                copy.copy_from(set);
            }
        }
        let grants = self.grants_of(&source)?;
        let doors = grants.iter().flat_map(|grants| grants.all()).filter_map(|grant| match grant.granted() {
            Granted::Door(door) => Some(ConnectionsKey { source, door, padding: 0 }),
            Granted::Port(..) => None,
        });
        let connections: Vec<_> = doors.filter_map(|key| Some((key, self.connections(key)?))).collect();
        tables.put_source(grants, connections, self.scan_of(&source)?.map(|scan| (source, scan)));
        let (word, bit) = listener_bit(protocol, tuple.local_port);
        let listens =
            self.listeners.elements().get(word as usize).map_or(0, |word| word.load(Relaxed)) >> bit & 1;
        if listens != 0 {
            tables.listen(protocol, tuple.local_port);
        }
        Ok(())
    }

    /// What is kept of a source's hits on closed ports.
    pub fn scan_of(&self, source: &Address) -> Result<Option<Scan>, DatapathError> {
        Ok(found(self.scans.get(&Shared(*source), 0), "SCANS")?.map(|scan| scan.0))
    }

    /// What is kept of the source's attempt, over or not.
    pub fn attempt_of(&self, source: &Address) -> Result<Attempt, DatapathError> {
        let identity = SourceIdentity::of(&self.control()?.hash_key, source);
        let sets = self.attempts.elements();
        let set = sets.get(identity.set(sets.len() as u32) as usize);
        let search = Search::<AtomicU64>::default();
        Ok(set.map_or(Attempt::NONE, |set| set.find(identity, &search).1))
    }

    /// The accepted flows of a source that are not over; by 15 bits of a hash, see [`knock_common::flow::FlowSet::live_of_remote`].
    pub fn flows_of(&self, source: &Address, now: Boottime) -> Result<Vec<Flow>, DatapathError> {
        let identity = FlowIdentity::of(&self.control()?.hash_key, &FiveTuple::of_peer(*source));
        let sets = self.flows.elements();
        let of_source = identity.accepted_sets(sets.len() as u32);
        let flows = of_source.filter_map(|set| sets.get(set as usize));
        Ok(flows.flat_map(|set| set.live_of_remote(identity, now)).collect())
    }
}

fn unwrapped<K, V>(entries: Vec<(K, Shared<V>)>) -> Vec<(K, V)> {
    entries.into_iter().map(|(key, value)| (key, value.0)).collect()
}
