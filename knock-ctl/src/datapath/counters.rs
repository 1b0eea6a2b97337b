//! What the kernel program counts and keeps for the controller.

use std::cmp::Reverse;
use std::collections::HashMap;

use knock_common::drops::DropCount;
use knock_common::event::{Event, RING_EVENTS};
use knock_common::port::Protocol;
use knock_common::reason::{COUNTED_INTERFACES, Reason};
use knock_common::rules::DoorId;

use super::maps::Maps;
use super::{DatapathError, FilteredInterface};

/// Packets by reason, over all CPUs.
pub type PacketCounters = HashMap<Reason, u64>;

impl Maps {
    /// Of all interfaces.
    pub fn counters(&self) -> Result<PacketCounters, DatapathError> {
        let mut sum = PacketCounters::new();
        for index in 0..COUNTED_INTERFACES {
            add(&mut sum, self.counters_of(index)?);
        }
        Ok(sum)
    }

    /// Of the interface with this index, and of those that are counted with it.
    pub fn counters_of(&self, index: u32) -> Result<PacketCounters, DatapathError> {
        let place = index % COUNTED_INTERFACES;
        let per_cpu = self.counters.get(&place, 0).map_err(DatapathError::map("COUNTERS"))?;
        let sum = |reason: Reason| per_cpu.iter().map(|counters| counters.0[reason as usize]).sum();
        Ok(Reason::ALL.iter().map(|&reason| (reason, sum(reason))).collect())
    }

    /// By the name of the interface, `+` between those that are counted together. Packets of interfaces that are filtered no
    /// more are under `gone`.
    pub fn counters_by_interface(
        &self,
        filtered: &[FilteredInterface],
    ) -> Result<Vec<(String, PacketCounters)>, DatapathError> {
        const GONE: &str = "gone";

        let mut gone = PacketCounters::new();
        let mut named = Vec::new();
        for place in 0..COUNTED_INTERFACES {
            let counters = self.counters_of(place)?;
            match name_of_place(filtered, place) {
                Some(name) => named.push((name, counters)),
                None => add(&mut gone, counters),
            }
        }
        if gone.values().any(|&count| count != 0) {
            named.push((GONE.to_owned(), gone));
        }
        Ok(named)
    }

    /// What is dropped, most first.
    pub fn drops(&self) -> Result<Vec<DropCount>, DatapathError> {
        let mut counts: HashMap<(Reason, Option<(Protocol, u16)>), DropCount> = HashMap::new();
        let mut most: HashMap<(Reason, Option<(Protocol, u16)>), u64> = HashMap::new();
        for records in self.drops.iter() {
            let records = records.map_err(DatapathError::map("DROPS"))?;
            for count in records.iter().filter_map(|record| record.0.read()) {
                let key = (count.reason, count.port);
                let sum = counts.entry(key).or_insert(DropCount { packets: 0, ..count });
                sum.packets += count.packets;
                // The last source of the CPU that dropped most: time is not kept.
                let most = most.entry(key).or_default();
                if count.packets > *most {
                    *most = count.packets;
                    sum.last_source = count.last_source;
                }
            }
        }
        let mut drops: Vec<DropCount> = counts.into_values().collect();
        drops.sort_by_key(|drop| (Reverse(drop.packets), drop.reason, drop.port));
        Ok(drops)
    }

    /// IP packets that were neither TCP, UDP nor ICMP, by the number of their protocol; those that there were.
    pub fn protocols(&self) -> Result<Vec<(u8, u64)>, DatapathError> {
        let per_cpu = self.protocols.get(&0, 0).map_err(DatapathError::map("PROTOCOLS"))?;
        let sum = |number: u8| per_cpu.iter().map(|counts| counts.0[usize::from(number)]).sum();
        Ok((0..=u8::MAX).map(|number| (number, sum(number))).filter(|(_, count)| *count != 0).collect())
    }

    /// How often a door was opened.
    pub fn openings(&self, door: DoorId) -> u64 {
        self.openings.get(&door, 0).map_or(0, |per_cpu| per_cpu.iter().sum())
    }

    /// Each CPU's last serial number.
    pub fn serials(&self) -> Result<Vec<u64>, DatapathError> {
        let serials = self.serials.get(&0, 0).map_err(DatapathError::map("SERIALS"))?;
        Ok(serials.iter().copied().collect())
    }

    /// The completion with the given serial number of a CPU, unless a newer one has taken its place.
    pub fn completion(&self, cpu: u32, serial: u64) -> Result<Option<Event>, DatapathError> {
        let index = cpu * RING_EVENTS + (serial % u64::from(RING_EVENTS)) as u32;
        if index >= self.completions.len() {
            return Ok(None);
        }
        let event = self.completions.get(&index, 0).map_err(DatapathError::map("COMPLETIONS"))?.0;
        Ok((event.serial == serial).then_some(event))
    }
}

fn add(sum: &mut PacketCounters, counters: PacketCounters) {
    for (reason, count) in counters {
        *sum.entry(reason).or_default() += count;
    }
}

/// The interfaces whose packets are counted there. `None`: there are none.
fn name_of_place(filtered: &[FilteredInterface], place: u32) -> Option<String> {
    let here = filtered.iter().filter(|interface| interface.index % COUNTED_INTERFACES == place);
    let names: Vec<&str> = here.map(|interface| interface.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join("+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_that_are_counted_together_are_named_together() {
        let interface = |name: &str, index| FilteredInterface {
            name: name.to_owned(),
            index,
            mode: "native",
            program_id: 41,
        };
        let filtered = [interface("eth0", 2), interface("eth1", 3), interface("wan", 2 + COUNTED_INTERFACES)];
        let name = |place| name_of_place(&filtered, place);
        assert_eq!([name(2), name(3), name(4)], [Some("eth0+wan".into()), Some("eth1".into()), None]);
    }
}
