//! The program's maps, typed.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerfEventArray};
use knock_common::address::Address;
use knock_common::attempt::{AttemptSet, AttemptTags};
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::drops::DropRecord;
use knock_common::event::{Event, RING_EVENTS};
use knock_common::flow::{Eviction, FLOW_WAYS, FiveTuple, FlowIdentity, FlowLives, FlowSet, NewFlow, Phase};
use knock_common::grant::SourceGrants;
use knock_common::port::Protocol;
use knock_common::reason::REASON_SLOTS;
use knock_common::rules::{
    Control, Door, DoorId, DoorKey, Edge, EdgeKey, Hit, HitKey, OccurrenceKey, PORT_ENTRIES, RelationKey,
    Rules, SequenceId, State, StateKey, TargetKey, TrustedKey, listener_bit,
};
use knock_common::scanner::Scan;
use knock_common::search::Search;
use knock_common::time::Boottime;

use super::mapped::MappedArray;
use super::pins::Pins;
use super::pod::Shared;
use super::{DatapathError, TableSizes};

type Hash<K, V> = HashMap<MapData, Shared<K>, V>;

/// Every map that the controller reads or writes.
pub struct Maps {
    control: Array<MapData, Shared<Control>>,
    pub(super) rules: Array<MapData, Shared<Rules>>,
    pub(super) ports: MappedArray<[AtomicU32; 2]>,
    pub(super) hits: Hash<HitKey, Shared<Hit>>,
    pub(super) edges: Hash<EdgeKey, Shared<Edge>>,
    pub(super) states: Hash<StateKey, Shared<State>>,
    pub(super) occurrences: Hash<OccurrenceKey, u32>,
    pub(super) doors: Hash<DoorKey, Shared<Door>>,
    pub(super) relations: Hash<RelationKey, u32>,
    pub(super) targets: Hash<TargetKey, u32>,
    pub(super) trusted: LpmTrie<MapData, Shared<TrustedKey>, u32>,
    pub(super) listeners: MappedArray<AtomicU64>,
    pub(super) attempts: MappedArray<AttemptSet<AtomicU64>>,
    pub(super) attempt_tags: MappedArray<AttemptTags<AtomicU64>>,
    pub(super) flows: MappedArray<FlowSet<AtomicU64>>,
    pub(super) outgoing: MappedArray<FlowSet<AtomicU64>>,
    pub(super) destinations: Hash<TargetKey, u32>,
    pub(super) used: HashMap<MapData, SequenceId, u32>,
    pub(super) scans: Hash<Address, Shared<Scan>>,
    pub(super) protocols: PerCpuArray<MapData, Shared<[u64; 256]>>,
    pub(super) grants: Hash<Address, Shared<SourceGrants>>,
    pub(super) grant_sources: Array<MapData, Shared<Address>>,
    pub(super) grant_cursor: Array<MapData, u32>,
    pub(super) locks: Hash<ConnectionsKey, u64>,
    pub(super) connections: Hash<ConnectionsKey, Shared<Connections>>,
    pub(super) completions: Array<MapData, Shared<Event>>,
    pub(super) serials: PerCpuArray<MapData, u64>,
    pub(super) counters: PerCpuArray<MapData, Shared<[u64; REASON_SLOTS]>>,
    pub(super) granted: MappedArray<[AtomicU8; 8]>,
    pub(super) drops: PerCpuArray<MapData, Shared<DropRecord>>,
    pub(super) openings: PerCpuHashMap<MapData, DoorId, u64>,
    sizes: TableSizes,
    /// A program that is loaded later finds these by their descriptors.
    _unread: Vec<Map>,
}

/// Which end began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Begun {
    Here,
    Elsewhere,
}

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableUse {
    pub used: usize,
    pub max: usize,
}

impl Maps {
    /// Opens the pinned maps, after a look at their layout.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        Self::collect(|name| {
            let path = pins.map(name);
            let data = MapData::from_pin(&path).map_err(DatapathError::map(name))?;
            Map::from_map_data(data).map_err(DatapathError::map(name))
        })
        .map_err(|error| match error {
            DatapathError::Map { name, source } if !is_refused_by_the_kernel(&source) => {
                DatapathError::Layout { path: pins.map(&name), what: "type or sizes of key and value" }
            }
            error => error,
        })
    }

    /// `take` hands out each map by its name.
    pub(super) fn collect(
        mut take: impl FnMut(&str) -> Result<Map, DatapathError>,
    ) -> Result<Self, DatapathError> {
        macro_rules! typed {
            ($name:literal) => {
                take($name)?.try_into().map_err(DatapathError::map($name))?
            };
        }
        let mut unread = Vec::new();
        let (ports, port_pairs) = mapped(take("PORTS")?, "PORTS", &mut unread)?;
        let (listeners, _) = mapped(take("LISTENERS")?, "LISTENERS", &mut unread)?;
        let (attempts, attempt_sets) = mapped(take("ATTEMPTS")?, "ATTEMPTS", &mut unread)?;
        let (attempt_tags, _) = mapped(take("ATTEMPT_TAGS")?, "ATTEMPT_TAGS", &mut unread)?;
        let (granted, _) = mapped(take("GRANTED")?, "GRANTED", &mut unread)?;
        let (flows, flow_sets) = mapped(take("FLOWS")?, "FLOWS", &mut unread)?;
        let (outgoing, _) = mapped(take("OUTGOING")?, "OUTGOING", &mut unread)?;
        let taken = take("TAKEN")?;
        // As many as entries of one slot.
        if port_pairs != PORT_ENTRIES {
            return Err(DatapathError::NoMap("PORTS of the expected size".into()));
        }
        let completions: Array<MapData, Shared<Event>> = typed!("COMPLETIONS");
        let grants = take("GRANTS")?;
        let connections = take("CONNECTIONS")?;
        let edges = take("EDGES")?;
        let scans = take("SCANS")?;
        let sizes = TableSizes {
            attempt_sets,
            flow_sets,
            grants: max_entries("GRANTS", &grants)?,
            connections: max_entries("CONNECTIONS", &connections)?,
            taken: max_entries("TAKEN", &taken)?,
            scans: max_entries("SCANS", &scans)?,
            rules: max_entries("EDGES", &edges)?,
            cpus: completions.len() / RING_EVENTS,
        };
        unread.push(taken);
        Ok(Self {
            control: typed!("CONTROL"),
            rules: typed!("RULES"),
            ports,
            hits: typed!("HITS"),
            edges: edges.try_into().map_err(DatapathError::map("EDGES"))?,
            states: typed!("STATES"),
            occurrences: typed!("OCCURRENCES"),
            doors: typed!("DOORS"),
            relations: typed!("RELATIONS"),
            targets: typed!("TARGETS"),
            trusted: typed!("TRUSTED"),
            listeners,
            attempts,
            attempt_tags,
            flows,
            outgoing,
            destinations: typed!("DESTINATIONS"),
            used: typed!("USED"),
            protocols: typed!("PROTOCOLS"),
            scans: scans.try_into().map_err(DatapathError::map("SCANS"))?,
            grants: grants.try_into().map_err(DatapathError::map("GRANTS"))?,
            grant_sources: typed!("GRANT_SOURCES"),
            grant_cursor: typed!("GRANT_CURSOR"),
            locks: typed!("LOCKS"),
            connections: connections.try_into().map_err(DatapathError::map("CONNECTIONS"))?,
            completions,
            serials: typed!("SERIALS"),
            counters: typed!("COUNTERS"),
            granted,
            drops: typed!("DROPS"),
            openings: typed!("OPENINGS"),
            sizes,
            _unread: unread,
        })
    }

    pub fn sizes(&self) -> TableSizes {
        self.sizes
    }

    pub fn control(&self) -> Result<Control, DatapathError> {
        Ok(self.control.get(&0, 0).map_err(DatapathError::map("CONTROL"))?.0)
    }

    /// One write, word by word: where the program must not see one new word beside one old, write one after the other.
    pub fn set_control(&mut self, control: Control) -> Result<(), DatapathError> {
        self.control.set(0, Shared(control), 0).map_err(DatapathError::map("CONTROL"))
    }

    /// The settings that hold now; where none do, those that held last.
    pub fn active_rules(&self) -> Result<Rules, DatapathError> {
        let slot = self.idle_slot()? ^ 1;
        Ok(self.rules.get(&slot, 0).map_err(DatapathError::map("RULES"))?.0)
    }

    /// Records a connection that exists already, accepted or begun here, and how far it has come at least. `false`: there is no
    /// room for it.
    pub fn record_connection(
        &self,
        tuple: &FiveTuple,
        begun: Begun,
        phase: Phase,
        now: Boottime,
        lives: &FlowLives,
    ) -> Result<bool, DatapathError> {
        let key = self.control()?.hash_key;
        let identity = FlowIdentity::of(&key, tuple);
        let count = self.flows.elements().len() as u32;
        let (sets, set, eviction) = match begun {
            Begun::Elsewhere => (&self.flows, identity.accepted_set(count), Eviction::SpareTheLive),
            Begun::Here => (&self.outgoing, identity.outgoing_set(count), Eviction::FirstToEnd),
        };
        let Some(set) = sets.elements().get(set as usize) else {
            return Ok(false);
        };
        let search = Search::<AtomicU64>::default();
        match set.find(identity, now, &search) {
            Some(_) if phase == Phase::HalfOpen => Ok(true),
            Some((way, flow)) => {
                set.renew(way, &flow, flow.grant, phase, now, lives);
                Ok(true)
            }
            None => {
                let flow = NewFlow::without_grant(phase);
                Ok(set.record(identity, &flow, now, lives, eviction, &search))
            }
        }
    }

    pub fn attempts_use(&self, now: Boottime) -> Result<TableUse, DatapathError> {
        let longest = self.active_rules()?.longest_timeout;
        let sets = self.attempts.elements();
        let used = sets.iter().map(|set| set.live(now, longest).count()).sum();
        Ok(TableUse { used, max: sets.len() * knock_common::attempt::ATTEMPT_WAYS })
    }

    /// Accepted flows.
    pub fn flows_use(&self, now: Boottime) -> TableUse {
        flows_in(&self.flows, now)
    }

    /// Flows that this machine began.
    pub fn outgoing_use(&self, now: Boottime) -> TableUse {
        flows_in(&self.outgoing, now)
    }

    /// Replaces the set of listening ports.
    pub fn set_listeners(&self, listeners: impl IntoIterator<Item = (Protocol, u16)>) {
        let words = self.listeners.elements();
        let mut bits = vec![0u64; words.len()];
        for (protocol, number) in listeners {
            let (word, bit) = listener_bit(protocol, number);
            if let Some(word) = bits.get_mut(word as usize) {
                *word |= 1 << bit;
            }
        }
        for (word, bits) in words.iter().zip(bits) {
            word.store(bits, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn flows_in(table: &MappedArray<FlowSet<AtomicU64>>, now: Boottime) -> TableUse {
    let sets = table.elements();
    let used = sets.iter().map(|set| set.live(now).filter(|flow| !flow.is_note()).count()).sum();
    TableUse { used, max: sets.len() * FLOW_WAYS }
}

/// The perf buffers' map.
pub(super) fn perf_events(map: Map) -> Result<PerfEventArray<MapData>, DatapathError> {
    map.try_into().map_err(DatapathError::map("EVENTS"))
}

/// The map as memory, and its number of elements. The map itself goes to `unread`.
fn mapped<T: super::mapped::SharedElement>(
    map: Map,
    name: &str,
    unread: &mut Vec<Map>,
) -> Result<(MappedArray<T>, u32), DatapathError> {
    let Map::Array(data) = &map else {
        return Err(DatapathError::NoMap(name.to_owned()));
    };
    let entries = max_entries(name, &map)?;
    let value_size = data.info().map_err(DatapathError::map(name))?.value_size() as usize;
    if value_size.next_multiple_of(8) != size_of::<T>() {
        return Err(DatapathError::NoMap(format!("{name} with values of {} bytes", size_of::<T>())));
    }
    let array = MappedArray::new(data.fd(), entries)
        .map_err(|source| DatapathError::Mmap { name: name.to_owned(), source })?;
    unread.push(map);
    Ok((array, entries))
}

/// Whether the map could not be had at all, for want of privilege or because it is not there.
fn is_refused_by_the_kernel(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(_) | MapError::IoError(_) | MapError::PinError { .. })
}

fn max_entries(name: &str, map: &Map) -> Result<u32, DatapathError> {
    let data = match map {
        Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) => data,
        _ => return Err(DatapathError::NoMap(name.to_owned())),
    };
    Ok(data.info().map_err(DatapathError::map(name))?.max_entries())
}
