//! The program's maps, typed.

use std::collections::HashMap as StdHashMap;
use std::sync::atomic::{AtomicU32, AtomicU64};

use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuHashMap, PerfEventArray};
use knock_common::address::Address;
use knock_common::attempt::AttemptSet;
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::drops::DropRecord;
use knock_common::event::{Event, RING_EVENTS};
use knock_common::flow::{FiveTuple, FlowIdentity, FlowLives, FlowSet, GrantIndex, NewFlow, Phase};
use knock_common::grant::{Change, Granted, GrantedBy, SourceGrants};
use knock_common::port::Protocol;
use knock_common::reason::{REASON_SLOTS, Reason};
use knock_common::rules::{
    Control, Door, DoorId, DoorKey, Edge, EdgeKey, Hit, HitKey, OccurrenceKey, PORT_ENTRIES, RelationKey,
    Rules, State, StateKey, TargetKey, TrustedKey, listener_bit,
};
use knock_common::search::Search;
use knock_common::tables::TableFull;
use knock_common::time::{Boottime, Deadline};

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
    listeners: MappedArray<AtomicU64>,
    attempts: MappedArray<AttemptSet<AtomicU64>>,
    flows: MappedArray<FlowSet<AtomicU64>>,
    grants: Hash<Address, Shared<SourceGrants>>,
    connections: Hash<ConnectionsKey, Shared<Connections>>,
    completions: Array<MapData, Shared<Event>>,
    serials: PerCpuArray<MapData, u64>,
    counters: PerCpuArray<MapData, Shared<[u64; REASON_SLOTS]>>,
    drops: PerCpuArray<MapData, Shared<DropRecord>>,
    openings: PerCpuHashMap<MapData, DoorId, u64>,
    sizes: TableSizes,
}

/// Packets by reason, over all CPUs.
pub type PacketCounters = StdHashMap<Reason, u64>;

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableUse {
    pub used: usize,
    pub max: usize,
}

/// Packets to one port that were dropped for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropCount {
    pub reason: Reason,
    pub port: Option<(Protocol, u16)>,
    pub packets: u64,
    pub last_source: Address,
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
            DatapathError::Map { name, .. } if pins.map(&name).exists() => {
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
        let (ports, port_entries) = mapped("PORTS", &mut take)?;
        let (listeners, _) = mapped("LISTENERS", &mut take)?;
        let (attempts, attempt_sets) = mapped("ATTEMPTS", &mut take)?;
        let (flows, flow_sets) = mapped("FLOWS", &mut take)?;
        if port_entries != 2 * PORT_ENTRIES {
            return Err(DatapathError::NoMap("PORTS of the expected size".into()));
        }
        let completions: Array<MapData, Shared<Event>> = typed!("COMPLETIONS");
        let grants = take("GRANTS")?;
        let connections = take("CONNECTIONS")?;
        let edges = take("EDGES")?;
        let sizes = TableSizes {
            attempt_sets,
            flow_sets,
            grants: max_entries("GRANTS", &grants)?,
            connections: max_entries("CONNECTIONS", &connections)?,
            taken: max_entries("TAKEN", &take("TAKEN")?)?,
            rules: max_entries("EDGES", &edges)?,
            cpus: completions.len() / RING_EVENTS,
        };
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
            flows,
            grants: grants.try_into().map_err(DatapathError::map("GRANTS"))?,
            connections: connections.try_into().map_err(DatapathError::map("CONNECTIONS"))?,
            completions,
            serials: typed!("SERIALS"),
            counters: typed!("COUNTERS"),
            drops: typed!("DROPS"),
            openings: typed!("OPENINGS"),
            sizes,
        })
    }

    pub fn sizes(&self) -> TableSizes {
        self.sizes
    }

    pub fn control(&self) -> Result<Control, DatapathError> {
        Ok(self.control.get(&0, 0).map_err(DatapathError::map("CONTROL"))?.0)
    }

    /// One write of the whole value: the program sees the old or the new.
    pub fn set_control(&mut self, control: Control) -> Result<(), DatapathError> {
        self.control.set(0, Shared(control), 0).map_err(DatapathError::map("CONTROL"))
    }

    /// The settings that hold now.
    pub fn active_rules(&self) -> Result<Rules, DatapathError> {
        let slot = self.control()?.active_slot;
        Ok(self.rules.get(&slot, 0).map_err(DatapathError::map("RULES"))?.0)
    }

    /// All sources with grants, passed ones among them.
    pub fn all_grants(&self) -> Result<Vec<SourceGrants>, DatapathError> {
        let mut grants = Vec::new();
        for entry in self.grants.iter() {
            let (_, value) = entry.map_err(DatapathError::map("GRANTS"))?;
            grants.push(value.0);
        }
        Ok(grants)
    }

    pub fn grants_of(&self, source: &Address) -> Result<Option<SourceGrants>, DatapathError> {
        match self.grants.get(&Shared(*source), 0) {
            Ok(grants) => Ok(Some(grants.0)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(DatapathError::map("GRANTS")(error)),
        }
    }

    /// Grants for an administrator or a controller's decision.
    pub fn grant(
        &mut self,
        source: &Address,
        granted: Granted,
        granted_by: GrantedBy,
        deadline: Deadline,
        now: Boottime,
    ) -> Result<Result<Change, TableFull>, DatapathError> {
        let mut grants = self.grants_of(source)?.unwrap_or(SourceGrants::none(*source));
        let change = grants.grant(granted, granted_by, deadline, now, &Search::<AtomicU64>::default());
        self.put_grants(grants).map(|stored| stored.map(|()| change))
    }

    /// Ends grants of `source`: those that `which` picks. Returns what was ended.
    pub fn revoke(
        &mut self,
        source: &Address,
        which: impl Fn(Granted) -> bool,
        now: Boottime,
    ) -> Result<Vec<Granted>, DatapathError> {
        let Some(mut grants) = self.grants_of(source)? else {
            return Ok(Vec::new());
        };
        let valid: Vec<Granted> = grants
            .all()
            .iter()
            .filter(|grant| !grant.deadline().passed(now))
            .map(|grant| grant.granted())
            .filter(|granted| which(*granted))
            .collect();
        for granted in &valid {
            grants.revoke(*granted, now);
        }
        if !valid.is_empty() {
            // Replacing an entry that is there needs no room.
            let _ = self.put_grants(grants)?;
        }
        Ok(valid)
    }

    fn put_grants(&mut self, grants: SourceGrants) -> Result<Result<(), TableFull>, DatapathError> {
        match self.grants.insert(Shared(grants.source()), Shared(grants), 0) {
            Ok(()) => Ok(Ok(())),
            Err(aya::maps::MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::E2BIG) =>
            {
                Ok(Err(TableFull))
            }
            Err(error) => Err(DatapathError::map("GRANTS")(error)),
        }
    }

    /// Allows `limit` connections under a grant that is made outside the kernel program.
    pub fn allow_connections(&mut self, key: ConnectionsKey, limit: u32) -> Result<(), DatapathError> {
        self.connections
            .insert(Shared(key), Shared(Connections::new(limit)), 0)
            .map_err(DatapathError::map("CONNECTIONS"))
    }

    pub fn connections(&self, key: ConnectionsKey) -> Option<Connections> {
        self.connections.get(&Shared(key), 0).ok().map(|connections| connections.0)
    }

    /// Records a connection that exists already. `false`: there is no room for it.
    pub fn record_connection(
        &self,
        tuple: &FiveTuple,
        now: Boottime,
        lives: &FlowLives,
    ) -> Result<bool, DatapathError> {
        let key = self.control()?.hash_key;
        let identity = FlowIdentity::of(&key, tuple);
        let sets = self.flows.elements();
        let Some(set) = sets.get(identity.set(sets.len() as u32) as usize) else {
            return Ok(false);
        };
        let search = Search::<AtomicU64>::default();
        match set.find(identity, now, &search) {
            Some((way, flow)) => {
                set.renew(way, &flow, Phase::Established, now, lives);
                Ok(true)
            }
            None => {
                let flow = NewFlow { phase: Phase::Established, sequence_number: 0, grant: GrantIndex::NONE };
                Ok(set.record(identity, &flow, now, lives, &search))
            }
        }
    }

    pub fn attempts_use(&self, now: Boottime) -> Result<TableUse, DatapathError> {
        let longest = self.active_rules()?.longest_timeout;
        let sets = self.attempts.elements();
        let used = sets.iter().map(|set| set.live(now, longest).count()).sum();
        Ok(TableUse { used, max: sets.len() * knock_common::attempt::ATTEMPT_WAYS })
    }

    pub fn flows_use(&self, now: Boottime) -> TableUse {
        let sets = self.flows.elements();
        let used = sets.iter().map(|set| set.live(now).count()).sum();
        TableUse { used, max: sets.len() * knock_common::flow::FLOW_WAYS }
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

    pub fn counters(&self) -> Result<PacketCounters, DatapathError> {
        let per_cpu = self.counters.get(&0, 0).map_err(DatapathError::map("COUNTERS"))?;
        let sum = |reason: Reason| per_cpu.iter().map(|counters| counters.0[reason as usize]).sum();
        Ok(Reason::ALL.iter().map(|&reason| (reason, sum(reason))).collect())
    }

    /// What is dropped, most first.
    pub fn drops(&self) -> Result<Vec<DropCount>, DatapathError> {
        let mut counts: StdHashMap<(Reason, Option<(Protocol, u16)>), (u64, u64, Address)> =
            StdHashMap::new();
        for records in self.drops.iter() {
            let records = records.map_err(DatapathError::map("DROPS"))?;
            for (reason, port, packets, source) in records.iter().filter_map(|record| record.0.read()) {
                let (sum, most, last) = counts.entry((reason, port)).or_insert((0, 0, source));
                *sum += packets;
                if packets > *most {
                    (*most, *last) = (packets, source);
                }
            }
        }
        let mut drops: Vec<DropCount> = counts
            .into_iter()
            .map(|((reason, port), (packets, _, last_source))| DropCount {
                reason,
                port,
                packets,
                last_source,
            })
            .collect();
        drops.sort_by_key(|drop| (std::cmp::Reverse(drop.packets), drop.reason, drop.port));
        Ok(drops)
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

/// The perf buffers' map.
pub(super) fn perf_events(map: Map) -> Result<PerfEventArray<MapData>, DatapathError> {
    map.try_into().map_err(DatapathError::map("EVENTS"))
}

fn mapped<T: super::mapped::SharedElement>(
    name: &str,
    take: &mut impl FnMut(&str) -> Result<Map, DatapathError>,
) -> Result<(MappedArray<T>, u32), DatapathError> {
    let map = take(name)?;
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
    Ok((array, entries))
}

fn max_entries(name: &str, map: &Map) -> Result<u32, DatapathError> {
    let data = match map {
        Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) => data,
        _ => return Err(DatapathError::NoMap(name.to_owned())),
    };
    Ok(data.info().map_err(DatapathError::map(name))?.max_entries())
}
