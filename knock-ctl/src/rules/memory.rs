//! The core's tables in ordinary memory: for judging packets without the kernel.

use std::cell::{Cell, Ref, RefCell};
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::atomic::AtomicU64;

use knock_common::address::Address;
use knock_common::attempt::{AttemptSet, AttemptTags};
use knock_common::completion::complete;
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::event::Event;
use knock_common::flow::FlowSet;
use knock_common::frame::Frame;
use knock_common::grant::SourceGrants;
use knock_common::hash::HashKey;
use knock_common::judge::{Judgement, judge};
use knock_common::leaving::note_leaving;
use knock_common::packet::parse;
use knock_common::port::Protocol;
use knock_common::rules::{
    Door, DoorKey, Edge, EdgeKey, Hit, HitKey, OccurrenceKey, Occurrences, PortEntry, RelationKey, Rules,
    SequenceId, Slot, State, StateKey, Trust, port_index,
};
use knock_common::scanner::{Scan, ScannedKey};
use knock_common::search::Search;
use knock_common::source::SourceIdentity;
use knock_common::tables::{FRAGMENTS_PER_SECOND, TableFull, Tables, TakenKey};
use knock_common::time::Boottime;
use knock_common::word::Word;

use super::Compiled;

/// Compiled rules and the state that packets make under them.
pub struct MemoryTables {
    now: Cell<Boottime>,
    hash_key: HashKey,
    rules: Rules,
    ports: Vec<PortEntry>,
    hits: HashMap<HitKey, Hit>,
    edges: HashMap<EdgeKey, Edge>,
    states: HashMap<StateKey, State>,
    occurrences: HashMap<OccurrenceKey, Occurrences>,
    doors: HashMap<DoorKey, Door>,
    relations: HashSet<RelationKey>,
    targets: HashMap<Address, u32>,
    trusted: Vec<(u32, [u8; 16], Trust)>,
    listeners: HashSet<(Protocol, u16)>,
    attempts: Vec<AttemptSet<AtomicU64>>,
    attempt_tags: Vec<AttemptTags<AtomicU64>>,
    used: RefCell<HashSet<SequenceId>>,
    taken: RefCell<HashSet<TakenKey>>,
    flows: Vec<FlowSet<AtomicU64>>,
    outgoing: Vec<FlowSet<AtomicU64>>,
    destinations: HashSet<Address>,
    /// The second in which fragments are counted, and how many have passed in it.
    fragments: Cell<(u32, u32)>,
    scans: RefCell<HashMap<Address, Scan>>,
    scanned: RefCell<HashMap<ScannedKey, u64>>,
    granted: RefCell<HashSet<u32>>,
    grants: RefCell<HashMap<Address, SourceGrants>>,
    connections: RefCell<HashMap<ConnectionsKey, Connections>>,
    events: RefCell<Vec<Event>>,
    search: Search<AtomicU64>,
    probe: AtomicU64,
}

/// Sets of the tables; few attempts, so that sources meet in them, and flows enough that one address may have some hundred.
const ATTEMPT_SETS: u32 = 64;
const FLOW_SETS: u32 = 4096;

impl MemoryTables {
    /// The rules, and no attempt, grant or flow yet.
    pub fn new(compiled: Compiled) -> Self {
        Self::with_sets(compiled, ATTEMPT_SETS, FLOW_SETS)
    }

    /// As [`MemoryTables::new`], with so many sets of attempts and of flows of either kind: powers of two.
    pub fn with_sets(compiled: Compiled, attempt_sets: u32, flow_sets: u32) -> Self {
        Self {
            now: Cell::new(Boottime::from_nanoseconds(0)),
            hash_key: HashKey([
                0x243f_6a88_85a3_08d3,
                0x1319_8a2e_0370_7344,
                0xa409_3822_299f_31d0,
                0x082e_fa98_ec4e_6c89,
                0x4528_21e6_38d0_1377,
            ]),
            rules: compiled.rules,
            ports: compiled.ports,
            hits: compiled.hits.into_iter().collect(),
            edges: compiled.edges.into_iter().collect(),
            states: compiled.states.into_iter().collect(),
            occurrences: compiled.occurrences.into_iter().collect(),
            doors: compiled.doors.into_iter().collect(),
            relations: compiled.relations.into_iter().collect(),
            targets: compiled.targets.into_iter().collect(),
            trusted: compiled.trusted,
            listeners: HashSet::new(),
            attempts: (0..attempt_sets).map(|_| AttemptSet::default()).collect(),
            attempt_tags: (0..attempt_sets).map(|_| AttemptTags::default()).collect(),
            used: RefCell::default(),
            taken: RefCell::default(),
            flows: (0..flow_sets).map(|_| FlowSet::default()).collect(),
            outgoing: (0..flow_sets).map(|_| FlowSet::default()).collect(),
            destinations: compiled.destinations.into_iter().collect(),
            fragments: Cell::default(),
            scans: RefCell::default(),
            scanned: RefCell::default(),
            granted: RefCell::default(),
            grants: RefCell::default(),
            connections: RefCell::default(),
            events: RefCell::default(),
            search: Search::default(),
            probe: AtomicU64::new(0),
        }
    }

    /// With the hash of tables whose sets are to be copied into these.
    pub fn with_hash_key(self, hash_key: HashKey) -> Self {
        Self { hash_key, ..self }
    }

    /// Takes over all that is kept of a source besides its attempt and its flows.
    pub fn put_source(
        &mut self,
        grants: Option<SourceGrants>,
        connections: impl IntoIterator<Item = (ConnectionsKey, Connections)>,
        scan: Option<(Address, Scan)>,
    ) {
        if let Some(grants) = &grants {
            self.mark_granted(SourceIdentity::of(&self.hash_key, &grants.source()));
        }
        *self.grants.get_mut() = grants.map(|grants| (grants.source(), grants)).into_iter().collect();
        *self.connections.get_mut() = connections.into_iter().collect();
        *self.scans.get_mut() = scan.into_iter().collect();
    }

    /// Judges a frame that arrives at `now`.
    pub fn judge<F: Frame + ?Sized>(&self, frame: &F, now: Boottime) -> Judgement {
        self.now.set(now);
        Word::store(&self.probe, 0);
        let parsed = parse(frame);
        let judgement = judge(self, parsed.as_ref().map_err(|no_packet| *no_packet));
        if let (Ok(packet), Some(door)) = (&parsed, judgement.completed) {
            complete(self, &packet.source, door.get());
        }
        judgement
    }

    /// Takes note of a frame that leaves at `now`.
    pub fn note_leaving<F: Frame + ?Sized>(&self, frame: &F, now: Boottime) {
        self.now.set(now);
        if let Ok(packet) = parse(frame) {
            note_leaving(self, &packet);
        }
    }

    /// Has a socket of this host listen on a port.
    pub fn listen(&mut self, protocol: Protocol, number: u16) {
        self.listeners.insert((protocol, number));
    }

    /// What was reported since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// The grants of one source, passed ones among them.
    pub fn grants_of(&self, source: &Address) -> Option<SourceGrants> {
        self.grants.borrow().get(source).copied()
    }
}

impl Tables for MemoryTables {
    type Word = AtomicU64;

    fn now(&self) -> Boottime {
        self.now.get()
    }

    fn unfollowed(&self, number: u64) -> u64 {
        number
    }

    fn search(&self) -> &Search<AtomicU64> {
        &self.search
    }

    fn probe(&self) -> &AtomicU64 {
        &self.probe
    }

    fn hash_key(&self) -> &HashKey {
        &self.hash_key
    }

    fn slot(&self) -> Slot {
        0
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn port(&self, protocol: Protocol, number: u16) -> PortEntry {
        self.ports[port_index(0, protocol, number) as usize]
    }

    fn hit(&self, key: &HitKey) -> Option<Hit> {
        self.hits.get(key).copied()
    }

    fn edge(&self, key: &EdgeKey) -> Option<Edge> {
        self.edges.get(key).copied()
    }

    fn state(&self, key: &StateKey) -> Option<State> {
        self.states.get(key).copied()
    }

    fn occurrences(&self, key: &OccurrenceKey) -> Option<Occurrences> {
        self.occurrences.get(key).copied()
    }

    fn door(&self, key: &DoorKey) -> Option<Door> {
        self.doors.get(key).copied()
    }

    fn related(&self, key: &RelationKey) -> bool {
        self.relations.contains(key)
    }

    fn target_class(&self, destination: &Address) -> u32 {
        self.targets.get(destination).copied().unwrap_or(0)
    }

    fn trust(&self, source: &Address) -> Option<Trust> {
        let bits = u128::from_be_bytes(source.octets());
        let matches = |length: u32, prefix: &[u8; 16]| {
            let host_bits = 128 - (length - 32);
            let difference = bits ^ u128::from_be_bytes(*prefix);
            difference.checked_shr(host_bits).unwrap_or(0) == 0
        };
        self.trusted
            .iter()
            .filter(|(length, prefix, _)| matches(*length, prefix))
            .max_by_key(|(length, ..)| *length)
            .map(|(_, _, trust)| *trust)
    }

    fn has_listener(&self, protocol: Protocol, number: u16) -> bool {
        self.listeners.contains(&(protocol, number))
    }

    fn attempt_sets(&self) -> u32 {
        self.attempts.len() as u32
    }

    fn attempt_set(&self, set: u32) -> Option<&AttemptSet<AtomicU64>> {
        self.attempts.get(set as usize)
    }

    fn attempt_tags(&self, set: u32) -> Option<&AttemptTags<AtomicU64>> {
        self.attempt_tags.get(set as usize)
    }

    fn was_taken(&self, key: &TakenKey) -> bool {
        self.taken.borrow().contains(key)
    }

    fn remember_taken(&self, key: &TakenKey) {
        self.taken.borrow_mut().insert(*key);
    }

    fn flow_sets(&self) -> u32 {
        self.flows.len() as u32
    }

    fn flow_set(&self, set: u32) -> Option<&FlowSet<AtomicU64>> {
        self.flows.get(set as usize)
    }

    fn outgoing_set(&self, set: u32) -> Option<&FlowSet<AtomicU64>> {
        self.outgoing.get(set as usize)
    }

    fn is_used(&self, sequence: SequenceId) -> bool {
        self.used.borrow().contains(&sequence)
    }

    fn use_up(&self, sequence: SequenceId) -> bool {
        self.used.borrow_mut().insert(sequence)
    }

    fn is_destination(&self, address: &Address) -> bool {
        self.destinations.contains(address)
    }

    fn may_pass_fragment(&self) -> bool {
        let now = self.now().seconds();
        let passed = match self.fragments.get() {
            (second, passed) if second == now => passed,
            _ => 0,
        };
        self.fragments.set((now, passed + 1));
        passed < FRAGMENTS_PER_SECOND
    }

    fn scan(&self, source: &Address) -> Option<Scan> {
        self.scans.borrow().get(source).copied()
    }

    fn store_scan(&self, source: &Address, scan: &Scan) {
        self.scans.borrow_mut().insert(*source, *scan);
    }

    fn note_scanned(&self, key: &ScannedKey, started: u64) -> bool {
        self.scanned.borrow_mut().insert(*key, started) != Some(started)
    }

    fn may_hold_grants(&self, source: SourceIdentity) -> bool {
        self.granted.borrow().contains(&source.mark())
    }

    fn mark_granted(&self, source: SourceIdentity) {
        self.granted.borrow_mut().insert(source.mark());
    }

    fn grants(&self, source: &Address) -> Option<impl Deref<Target = SourceGrants> + '_> {
        Ref::filter_map(self.grants.borrow(), |grants| grants.get(source)).ok()
    }

    fn is_still_of(&self, grants: &SourceGrants, source: &Address) -> bool {
        grants.is_of(source)
    }

    fn change_grants<R>(&self, source: &Address, change: impl FnOnce(&mut SourceGrants) -> R) -> Option<R> {
        self.grants.borrow_mut().get_mut(source).map(change)
    }

    fn add_grants<R>(
        &self,
        source: &Address,
        change: impl FnOnce(&mut SourceGrants) -> R,
    ) -> Result<R, TableFull> {
        let mut grants = self.grants.borrow_mut();
        Ok(change(grants.entry(*source).or_insert_with(|| SourceGrants::none(*source))))
    }

    fn allow_connections(&self, key: &ConnectionsKey, limit: u32) {
        self.connections.borrow_mut().insert(*key, Connections::new(limit));
    }

    fn change_connections<R>(
        &self,
        key: &ConnectionsKey,
        change: impl FnOnce(&mut Connections) -> R,
    ) -> Option<R> {
        self.connections.borrow_mut().get_mut(key).map(change)
    }

    fn report(&self, event: &mut Event) {
        self.events.borrow_mut().push(*event);
    }

    fn report_in_passing(&self, event: &Event) {
        self.events.borrow_mut().push(*event);
    }

    fn count_suppressed(&self) {}
}
