//! What a packet on a knock port is to the doors: one symbol for all packets that meet the same doors' conditions there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use knock_common::flags::{FlagsCondition, TcpFlags};
use knock_common::port::{Port, Protocol};
use knock_common::rules::HitKey;

use super::DoorRule;

/// TCP flags values grouped by the doors' conditions that they meet.
pub(super) struct FlagsClasses {
    pub(super) classes: [u8; 64],
    /// A flags value of each class.
    representatives: Vec<TcpFlags>,
    pub(super) met_by_some: u64,
}

impl FlagsClasses {
    pub(super) fn of(doors: &[DoorRule]) -> Self {
        let mut conditions: Vec<FlagsCondition> = Vec::new();
        for door in doors {
            if !conditions.contains(&door.flags) {
                conditions.push(door.flags);
            }
        }
        let mut signatures: Vec<Vec<bool>> = Vec::new();
        let mut result = Self { classes: [0; 64], representatives: Vec::new(), met_by_some: 0 };
        for bits in 0..64u8 {
            let flags = TcpFlags::from_header(bits);
            let signature: Vec<bool> = conditions.iter().map(|condition| condition.met_by(flags)).collect();
            let class = match signatures.iter().position(|known| *known == signature) {
                Some(class) => class,
                None => {
                    signatures.push(signature.clone());
                    result.representatives.push(flags);
                    signatures.len() - 1
                }
            };
            result.classes[usize::from(bits)] = class as u8;
            result.met_by_some |= u64::from(signature.contains(&true)) << bits;
        }
        result
    }
}

pub(super) fn target_classes(doors: &[DoorRule]) -> BTreeMap<IpAddr, u32> {
    let addresses: BTreeSet<IpAddr> = doors.iter().flat_map(|door| door.targets.iter().copied()).collect();
    addresses.into_iter().zip(1..).collect()
}

/// Doors by their index, ascending.
pub(super) type DoorSet = Vec<u32>;

/// Every port's symbols.
pub(super) struct Symbols {
    pub(super) hits: Vec<(HitKey, u32)>,
    pub(super) by_port: BTreeMap<Port, Vec<u32>>,
    /// Doors whose conditions a symbol meets; symbols are numbered from 1.
    pub(super) met: Vec<DoorSet>,
}

impl Symbols {
    pub(super) fn of(doors: &[DoorRule], flags: &FlagsClasses, targets: &BTreeMap<IpAddr, u32>) -> Self {
        let mut doors_at: BTreeMap<Port, BTreeSet<u32>> = BTreeMap::new();
        for (index, door) in (0..).zip(doors) {
            for step in &door.steps {
                doors_at.entry(*step).or_default().insert(index);
            }
        }
        let mut symbols = Self { hits: Vec::new(), by_port: BTreeMap::new(), met: vec![Vec::new()] };
        for (port, at_port) in doors_at {
            symbols.add_port(port, &at_port, doors, flags, targets);
        }
        symbols
    }

    fn add_port(
        &mut self,
        port: Port,
        at_port: &BTreeSet<u32>,
        doors: &[DoorRule],
        flags: &FlagsClasses,
        targets: &BTreeMap<IpAddr, u32>,
    ) {
        let mut known: HashMap<DoorSet, u32> = HashMap::new();
        let sent_to: BTreeSet<Option<IpAddr>> = at_port
            .iter()
            .flat_map(|&door| doors[door as usize].targets.iter().map(|address| Some(*address)))
            .chain([None])
            .collect();
        // UDP has no flags: one class, whatever it is, meets every condition.
        let classes = match port.protocol {
            Protocol::Tcp => flags.representatives.as_slice(),
            Protocol::Udp => &[TcpFlags::NONE],
        };
        for (flags_class, flags) in (0u8..).zip(classes) {
            for target in &sent_to {
                let meets = |door: &DoorRule| {
                    let meets_flags = port.protocol == Protocol::Udp || door.flags.met_by(*flags);
                    let meets_target = door.targets.is_empty()
                        || target.is_some_and(|target| door.targets.contains(&target));
                    meets_flags && meets_target
                };
                let met: DoorSet =
                    at_port.iter().copied().filter(|&door| meets(&doors[door as usize])).collect();
                if met.is_empty() {
                    continue;
                }
                let symbol = *known.entry(met).or_insert_with_key(|met| {
                    self.met.push(met.clone());
                    self.met.len() as u32 - 1
                });
                let key = HitKey {
                    slot: 0,
                    port: port.number.get(),
                    protocol: port.protocol as u8,
                    flags_class,
                    target_class: target.and_then(|target| targets.get(&target).copied()).unwrap_or(0),
                };
                self.hits.push((key, symbol));
            }
        }
        let mut symbols: Vec<u32> = known.into_values().collect();
        symbols.sort_unstable();
        self.by_port.insert(port, symbols);
    }
}
