//! Sources that are held for scanning.

use std::sync::atomic::AtomicU64;

use knock_common::address::Address;
use knock_common::flow::{FiveTuple, FlowIdentity};
use knock_common::rules::{RuleOption, Slot};
use knock_common::search::Search;
use knock_common::time::Boottime;

use super::DatapathError;
use super::maps::Maps;
use super::pod::Shared;
use super::reach::found;

impl Maps {
    /// The sources that have scanned and are to be held at `now`, and until when.
    pub fn held(&self, now: Boottime) -> Result<Vec<(Address, Boottime)>, DatapathError> {
        let mut held = Vec::new();
        for entry in self.scans.iter() {
            let (source, scan) = entry.map_err(DatapathError::map("SCANS"))?;
            let until = Boottime::from_milliseconds(scan.0.held_until);
            if until > now {
                held.push((source.0, until));
            }
        }
        Ok(held)
    }

    /// Those of [`Maps::held`] that are in fact, under the rules that hold now: none that is known here.
    pub fn held_in_effect(&self, now: Boottime) -> Result<Vec<(Address, Boottime)>, DatapathError> {
        let slot = match self.slot_in_force()? {
            Some(slot) if self.active_rules()?.has(RuleOption::Scanners) => slot,
            _ => return Ok(Vec::new()),
        };
        let mut in_effect = Vec::new();
        for (source, until) in self.held(now)? {
            if !self.is_known(slot, &source, now)? {
                in_effect.push((source, until));
            }
        }
        Ok(in_effect)
    }

    /// Ends the hold of a source. `false`: it was not held.
    pub fn release(&mut self, source: &Address, now: Boottime) -> Result<bool, DatapathError> {
        let scan = found(self.scans.get(&Shared(*source), 0), "SCANS")?;
        let held = scan.is_some_and(|scan| Boottime::from_milliseconds(scan.0.held_until) > now);
        if held {
            self.scans.remove(&Shared(*source)).map_err(DatapathError::map("SCANS"))?;
        }
        Ok(held)
    }

    /// Whether the source is trusted for some port, granted something, or has a flow here.
    fn is_known(&self, slot: Slot, source: &Address, now: Boottime) -> Result<bool, DatapathError> {
        let grants = self.grants_of(source)?;
        let is_granted = grants.is_some_and(|grants| grants.all().iter().any(|grant| !grant.passed(now)));
        Ok(is_granted || self.trust(slot, *source)?.is_some() || self.is_peer(source, now)?)
    }

    fn is_peer(&self, source: &Address, now: Boottime) -> Result<bool, DatapathError> {
        let identity = FlowIdentity::of(&self.control()?.hash_key, &FiveTuple::of_peer(*source));
        let sets = self.outgoing.elements();
        let set = sets.get(identity.outgoing_set(sets.len() as u32) as usize);
        Ok(set.is_some_and(|set| set.find(identity, now, &Search::<AtomicU64>::default()).is_some()))
    }
}
