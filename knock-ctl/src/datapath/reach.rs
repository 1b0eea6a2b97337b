//! Who can come in by the rules in force, as they lie in their maps.

use std::sync::atomic::Ordering::Relaxed;

use aya::maps::MapError;
use aya::maps::lpm_trie::Key;
use knock_common::address::Address;
use knock_common::port::Port;
use knock_common::rules::{
    PortEntry, Relation, RelationKey, RuleOption, Slot, TRUST_EVERY_PORT, TRUST_NOBODY, TargetKey, Trust,
    TrustedKey, place_of_port, port_index,
};

use super::DatapathError;
use super::maps::Maps;
use super::pod::Shared;

/// Bits of a whole address behind those of the slot.
const WHOLE_ADDRESS: u32 = 32 + 128;

impl Maps {
    /// Whether somebody at `remote` can begin a connection to `port` of `local`, at once or after a knock.
    pub fn lets_in(&self, remote: Address, local: Address, port: Port) -> Result<bool, DatapathError> {
        let Some(slot) = self.slot_in_force()? else {
            return Ok(true);
        };
        let rules = self.active_rules()?;
        let target = TargetKey { slot: u64::from(slot), address: local };
        if !rules.has(RuleOption::Enforce)
            || rules.has(RuleOption::Destinations)
                && found(self.destinations.get(&Shared(target), 0), "DESTINATIONS")?.is_none()
        {
            return Ok(true);
        }
        let (pair, which) = place_of_port(port_index(slot, port.protocol, port.number.get()));
        let pair = self.ports.elements().get(pair as usize);
        let entry = pair.map_or(0, |pair| pair[which].load(Relaxed));
        let entry = PortEntry::from_bits(entry);
        Ok(entry.is(PortEntry::PUBLIC)
            || !entry.is(PortEntry::CLOSED)
            || self.some_door_opens(slot, entry.class())?
            || self.is_trusted(slot, remote, entry.class())?)
    }

    fn some_door_opens(&self, slot: Slot, class: u32) -> Result<bool, DatapathError> {
        for key in self.relations.keys() {
            let RelationKey { slot: of, relation, subject, .. } =
                key.map_err(DatapathError::map("RELATIONS"))?.0;
            if (of, relation, subject) == (slot, Relation::Opens as u32, class) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_trusted(&self, slot: Slot, remote: Address, class: u32) -> Result<bool, DatapathError> {
        match self.trust(slot, remote)? {
            None => Ok(false),
            Some(TRUST_EVERY_PORT) => Ok(true),
            Some(holder) => {
                let key = RelationKey { slot, relation: Relation::Trusts as u32, holder, subject: class };
                Ok(found(self.relations.get(&Shared(key), 0), "RELATIONS")?.is_some())
            }
        }
    }

    /// How the source is trusted, if it is.
    pub fn trust(&self, slot: Slot, source: Address) -> Result<Option<Trust>, DatapathError> {
        let data = TrustedKey { slot: slot.to_be_bytes(), address: source.octets() };
        let trust = found(self.trusted.get(&Key::new(WHOLE_ADDRESS, Shared(data)), 0), "TRUSTED")?;
        Ok(trust.filter(|trust| *trust != TRUST_NOBODY))
    }
}

pub(super) fn found<T>(result: Result<T, MapError>, name: &str) -> Result<Option<T>, DatapathError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(DatapathError::map(name)(error)),
    }
}
