//! Puts compiled rules into force: writes them into the slot that does not hold, then turns the slots round.

use std::collections::HashMap as StdHashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, MapData, MapError};
use knock_common::address::Address;
use knock_common::rules::{
    DoorKey, EdgeKey, HitKey, LAYOUT_VERSION, NO_RULES, OccurrenceKey, PORT_ENTRIES, RelationKey, Slot,
    StateKey, TargetKey, TrustedKey,
};

use super::DatapathError;
use super::change::Unconfirmed;
use super::maps::Maps;
use super::pod::Shared;
use crate::rules::{Compiled, PreviousStates};

/// No run of the program that began under the rules before lasts as long.
const LAST_RUN: Duration = Duration::from_millis(10);

impl Maps {
    /// The numbers of the states that attempts may be in.
    pub fn states(&self) -> Result<PreviousStates, DatapathError> {
        let idle = self.idle_slot()?;
        let mut states = StdHashMap::new();
        for entry in self.states.iter() {
            let (key, state) = entry.map_err(DatapathError::map("STATES"))?;
            // Attempts may be in states of the rules before these, too.
            if key.0.slot != idle || !states.contains_key(&state.0.identity) {
                states.insert(state.0.identity, key.0.state);
            }
        }
        Ok(states)
    }

    /// Makes `compiled` the rules that hold, from one packet to the next. On an error the rules before go on to hold.
    pub fn put_into_force(&mut self, compiled: &Compiled) -> Result<(), DatapathError> {
        self.put_into_force_until(compiled, None)
    }

    /// As [`Maps::put_into_force`], until the time that `unconfirmed` tells. The slot that it falls back to must be the one in
    /// force.
    pub fn put_into_force_until(
        &mut self,
        compiled: &Compiled,
        unconfirmed: Option<Unconfirmed>,
    ) -> Result<(), DatapathError> {
        let mut control = self.control()?;
        let slot = self.idle_slot()?;
        self.check_room(compiled)?;
        std::thread::sleep(LAST_RUN);
        self.clear(slot)?;
        self.write(slot, compiled)?;
        control.active_slot = slot;
        control.layout_version = LAYOUT_VERSION;
        control.generation += 1;
        control.confirm_by = unconfirmed.map_or(0, |change| change.until.nanoseconds());
        control.fallback = unconfirmed.map_or(NO_RULES, |change| change.fallback_number());
        self.set_control(control)
    }

    /// Changes the `destinations` of the rules that hold. New ones are filtered before old ones cease to be.
    pub fn follow_destinations(&mut self, destinations: &[Address]) -> Result<(), DatapathError> {
        let slot = self.idle_slot()? ^ 1;
        self.add_destinations(slot, destinations)?;
        remove_where(&mut self.destinations, "DESTINATIONS", |key: &Shared<TargetKey>| {
            key.0.slot == u64::from(slot) && !destinations.contains(&key.0.address)
        })
    }

    fn add_destinations(&mut self, slot: Slot, destinations: &[Address]) -> Result<(), DatapathError> {
        for address in destinations {
            let key = TargetKey { slot: u64::from(slot), address: *address };
            self.destinations.insert(Shared(key), 1, 0).map_err(DatapathError::map("DESTINATIONS"))?;
        }
        Ok(())
    }

    /// Whether there is room for `compiled` in the maps.
    pub fn check_room(&self, compiled: &Compiled) -> Result<(), DatapathError> {
        // Both slots share a map.
        let room = self.sizes().rules as usize / 2;
        for (name, needed) in compiled.entries() {
            if needed > room {
                return Err(DatapathError::NoRoom { name, needed, room });
            }
        }
        Ok(())
    }

    fn clear(&mut self, slot: Slot) -> Result<(), DatapathError> {
        remove_where(&mut self.hits, "HITS", |key: &Shared<HitKey>| key.0.slot == slot)?;
        remove_where(&mut self.edges, "EDGES", |key: &Shared<EdgeKey>| key.0.slot == slot)?;
        remove_where(&mut self.states, "STATES", |key: &Shared<StateKey>| key.0.slot == slot)?;
        remove_where(&mut self.occurrences, "OCCURRENCES", |key: &Shared<OccurrenceKey>| key.0.slot == slot)?;
        remove_where(&mut self.doors, "DOORS", |key: &Shared<DoorKey>| key.0.slot == slot)?;
        remove_where(&mut self.relations, "RELATIONS", |key: &Shared<RelationKey>| key.0.slot == slot)?;
        remove_where(&mut self.targets, "TARGETS", |key: &Shared<TargetKey>| key.0.slot == u64::from(slot))?;
        remove_where(&mut self.destinations, "DESTINATIONS", |key: &Shared<TargetKey>| {
            key.0.slot == u64::from(slot)
        })?;
        let mut stale = Vec::new();
        for key in self.trusted.keys() {
            let key = key.map_err(DatapathError::map("TRUSTED"))?;
            if key.data().0.slot == slot.to_be_bytes() {
                stale.push(key);
            }
        }
        for key in &stale {
            self.trusted.remove(key).map_err(DatapathError::map("TRUSTED"))?;
        }
        Ok(())
    }

    fn write(&mut self, slot: Slot, compiled: &Compiled) -> Result<(), DatapathError> {
        self.rules.set(slot, Shared(compiled.rules), 0).map_err(DatapathError::map("RULES"))?;
        let first = (slot * PORT_ENTRIES / 2) as usize;
        for (cell, entry) in self.ports.elements().iter().skip(first).flatten().zip(&compiled.ports) {
            cell.store(entry.bits(), Relaxed);
        }
        for (key, hit) in &compiled.hits {
            let key = HitKey { slot, ..*key };
            self.hits.insert(Shared(key), Shared(*hit), 0).map_err(DatapathError::map("HITS"))?;
        }
        for (key, edge) in &compiled.edges {
            let key = EdgeKey { slot, ..*key };
            self.edges.insert(Shared(key), Shared(*edge), 0).map_err(DatapathError::map("EDGES"))?;
        }
        for (key, state) in &compiled.states {
            let key = StateKey { slot, ..*key };
            self.states.insert(Shared(key), Shared(*state), 0).map_err(DatapathError::map("STATES"))?;
        }
        for (key, positions) in &compiled.occurrences {
            let key = OccurrenceKey { slot, ..*key };
            self.occurrences.insert(Shared(key), positions, 0).map_err(DatapathError::map("OCCURRENCES"))?;
        }
        for (key, door) in &compiled.doors {
            let key = DoorKey { slot, ..*key };
            self.doors.insert(Shared(key), Shared(*door), 0).map_err(DatapathError::map("DOORS"))?;
        }
        for key in &compiled.relations {
            let key = RelationKey { slot, ..*key };
            self.relations.insert(Shared(key), 1, 0).map_err(DatapathError::map("RELATIONS"))?;
        }
        for (address, class) in &compiled.targets {
            let key = TargetKey { slot: u64::from(slot), address: *address };
            self.targets.insert(Shared(key), class, 0).map_err(DatapathError::map("TARGETS"))?;
        }
        self.add_destinations(slot, &compiled.destinations)?;
        for (length, address, trust) in &compiled.trusted {
            let data = TrustedKey { slot: slot.to_be_bytes(), address: *address };
            let key = Key::new(*length, Shared(data));
            self.trusted.insert(&key, trust, 0).map_err(DatapathError::map("TRUSTED"))?;
        }
        Ok(())
    }
}

fn remove_where<K: aya::Pod, V: aya::Pod>(
    map: &mut HashMap<MapData, K, V>,
    name: &'static str,
    stale: impl Fn(&K) -> bool,
) -> Result<(), DatapathError> {
    let keys: Result<Vec<K>, MapError> = map.keys().collect();
    for key in keys.map_err(DatapathError::map(name))?.iter().filter(|key| stale(key)) {
        map.remove(key).map_err(DatapathError::map(name))?;
    }
    Ok(())
}
