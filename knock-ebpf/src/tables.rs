//! The core's look-ups, answered by BPF maps.

use core::ops::Deref;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use aya_ebpf::maps::lpm_trie::Key;
use knock_common::address::Address;
use knock_common::attempt::{AttemptSet, AttemptTags};
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::event::Event;
use knock_common::flow::FlowSet;
use knock_common::grant::SourceGrants;
use knock_common::hash::HashKey;
use knock_common::port::Protocol;
use knock_common::rules::{
    Control, Door, DoorKey, Edge, EdgeKey, Hit, HitKey, OccurrenceKey, Occurrences, PortEntry, RelationKey,
    Rules, SequenceId, Slot, State, StateKey, TargetKey, Trust, TrustedKey, listener_bit, place_of_port,
    port_index,
};
use knock_common::scanner::{Scan, ScannedKey};
use knock_common::search::Search;
use knock_common::source::SourceIdentity;
use knock_common::tables::{TableFull, Tables, TakenKey};
use knock_common::time::Boottime;
use knock_common::word::Word;

use crate::maps::Scratch;
use crate::word::{MapByte, MapWord};
use crate::{grants, maps, report};

/// The maps, as they are for one packet.
pub struct KernelTables<'a, C> {
    context: &'a C,
    control: &'a Control,
    slot: Slot,
    rules: &'a Rules,
    scratch: &'a Scratch,
}

impl<'a, C: EbpfContext> KernelTables<'a, C> {
    /// For what arrives. `Ok(None)`: no rules are in force. `Err`: a map is missing.
    #[inline(always)]
    pub fn of(context: &'a C, scratch: &'a Scratch) -> Result<Option<Self>, Missing> {
        let control = maps::CONTROL.get(0).ok_or(Missing)?;
        match control.slot_in_force(clock) {
            Some(slot) => Self::with(context, scratch, control, slot).map(Some),
            None => Ok(None),
        }
    }

    /// For what leaves, which is noted without rules in force too: the next ones must not cut it off.
    #[inline(always)]
    pub fn of_leaving(context: &'a C, scratch: &'a Scratch) -> Result<Self, Missing> {
        let control = maps::CONTROL.get(0).ok_or(Missing)?;
        let slot = control.slot_in_force(clock).unwrap_or(control.active_slot & 1);
        Self::with(context, scratch, control, slot)
    }

    #[inline(always)]
    fn with(context: &'a C, scratch: &'a Scratch, control: &'a Control, slot: Slot) -> Result<Self, Missing> {
        scratch.now.store(0);
        scratch.probe.store(0);
        let rules = maps::RULES.get(slot).ok_or(Missing)?;
        Ok(Self { context, control, slot, rules, scratch })
    }
}

/// A map that is part of the program is not there.
pub struct Missing;

#[inline(always)]
pub fn clock() -> Boottime {
    // SAFETY: the helper has no preconditions.
    Boottime::from_nanoseconds(unsafe { bpf_ktime_get_boot_ns() })
}

impl<C: EbpfContext> Tables for KernelTables<'_, C> {
    type Word = MapWord;

    #[inline(always)]
    fn now(&self) -> Boottime {
        let known = self.scratch.now.load();
        if known != 0 {
            return Boottime::from_nanoseconds(known);
        }
        let now = clock();
        self.scratch.now.store(now.nanoseconds());
        now
    }

    #[inline(always)]
    fn unfollowed(&self, number: u64) -> u64 {
        self.scratch.unfollowed(number)
    }

    #[inline(always)]
    fn search(&self) -> &Search<MapWord> {
        &self.scratch.search
    }

    #[inline(always)]
    fn probe(&self) -> &MapWord {
        &self.scratch.probe
    }

    #[inline(always)]
    fn hash_key(&self) -> &HashKey {
        &self.control.hash_key
    }

    #[inline(always)]
    fn slot(&self) -> Slot {
        self.slot
    }

    #[inline(always)]
    fn rules(&self) -> &Rules {
        self.rules
    }

    #[inline(always)]
    fn port(&self, protocol: Protocol, number: u16) -> PortEntry {
        let (pair, which) = place_of_port(port_index(self.slot, protocol, number));
        match maps::PORTS.get(pair) {
            Some(pair) => pair[which],
            None => PortEntry::default(),
        }
    }

    #[inline(always)]
    fn hit(&self, key: &HitKey) -> Option<Hit> {
        // SAFETY: rules of the slot that holds are not written.
        unsafe { maps::HITS.get(key) }.copied()
    }

    #[inline(always)]
    fn edge(&self, key: &EdgeKey) -> Option<Edge> {
        // SAFETY: rules of the slot that holds are not written.
        unsafe { maps::EDGES.get(key) }.copied()
    }

    #[inline(always)]
    fn state(&self, key: &StateKey) -> Option<State> {
        // SAFETY: rules of the slot that holds are not written.
        unsafe { maps::STATES.get(key) }.copied()
    }

    #[inline(always)]
    fn occurrences(&self, key: &OccurrenceKey) -> Option<Occurrences> {
        // SAFETY: rules of the slot that holds are not written.
        unsafe { maps::OCCURRENCES.get(key) }.copied()
    }

    #[inline(always)]
    fn door(&self, key: &DoorKey) -> Option<Door> {
        // SAFETY: rules of the slot that holds are not written.
        unsafe { maps::DOORS.get(key) }.copied()
    }

    #[inline(always)]
    fn related(&self, key: &RelationKey) -> bool {
        maps::RELATIONS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn target_class(&self, destination: &Address) -> u32 {
        let key = TargetKey { slot: self.slot as u64, address: *destination };
        // SAFETY: rules of the slot that holds are not written.
        match unsafe { maps::TARGETS.get(key) } {
            Some(class) => *class,
            None => 0,
        }
    }

    #[inline(always)]
    fn trust(&self, source: &Address) -> Option<Trust> {
        let data = TrustedKey { slot: self.slot.to_be_bytes(), address: source.octets() };
        maps::TRUSTED.get(Key::new(8 * size_of::<TrustedKey>() as u32, data)).copied()
    }

    #[inline(always)]
    fn has_listener(&self, protocol: Protocol, number: u16) -> bool {
        let (word, bit) = listener_bit(protocol, number);
        matches!(maps::LISTENERS.get(word), Some(bits) if bits >> bit & 1 != 0)
    }

    #[inline(always)]
    fn attempt_sets(&self) -> u32 {
        maps::ATTEMPT_SETS.load()
    }

    #[inline(always)]
    fn attempt_set(&self, set: u32) -> Option<&AttemptSet<MapWord>> {
        maps::ATTEMPTS.get(set)
    }

    #[inline(always)]
    fn attempt_tags(&self, set: u32) -> Option<&AttemptTags<MapWord>> {
        maps::ATTEMPT_TAGS.get(set)
    }

    #[inline(always)]
    fn was_taken(&self, key: &TakenKey) -> bool {
        maps::TAKEN.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn remember_taken(&self, key: &TakenKey) {
        // An LRU map always finds room.
        let _ = maps::TAKEN.insert(key, 1, 0);
    }

    #[inline(always)]
    fn flow_sets(&self) -> u32 {
        maps::FLOW_SETS.load()
    }

    #[inline(always)]
    fn flow_set(&self, set: u32) -> Option<&FlowSet<MapWord>> {
        maps::FLOWS.get(set)
    }

    #[inline(always)]
    fn outgoing_set(&self, set: u32) -> Option<&FlowSet<MapWord>> {
        maps::OUTGOING.get(set)
    }

    #[inline(always)]
    fn is_used(&self, sequence: SequenceId) -> bool {
        // SAFETY: presence is all that is asked.
        unsafe { maps::USED.get(sequence) }.is_some()
    }

    #[inline(always)]
    fn use_up(&self, sequence: SequenceId) -> bool {
        // One CPU alone succeeds.
        maps::USED.insert(sequence, 1, u64::from(BPF_NOEXIST)).is_ok()
    }

    #[inline(always)]
    fn is_destination(&self, address: &Address) -> bool {
        let key = TargetKey { slot: self.slot as u64, address: *address };
        maps::DESTINATIONS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn may_pass_fragment(&self) -> bool {
        report::take_fragment(self.now())
    }

    #[inline(always)]
    fn scan(&self, source: &Address) -> Option<Scan> {
        // SAFETY: a torn read can only misjudge how long a source is held.
        unsafe { maps::SCANS.get(source) }.copied()
    }

    #[inline(always)]
    fn store_scan(&self, source: &Address, scan: &Scan) {
        // An LRU map always finds room.
        let _ = maps::SCANS.insert(source, scan, 0);
    }

    #[inline(always)]
    fn note_scanned(&self, key: &ScannedKey, started: u64) -> bool {
        // SAFETY: a torn read can only count a port twice.
        if matches!(unsafe { maps::SCANNED.get(key) }, Some(noted) if *noted == started) {
            return false;
        }
        // An LRU map always finds room.
        let _ = maps::SCANNED.insert(key, started, 0);
        true
    }

    #[inline(always)]
    fn may_hold_grants(&self, source: SourceIdentity) -> bool {
        match granted_mark(source) {
            Some(mark) => mark.load() != 0,
            None => true,
        }
    }

    #[inline(always)]
    fn mark_granted(&self, source: SourceIdentity) {
        if let Some(mark) = granted_mark(source) {
            mark.store(1);
        }
    }

    #[inline(always)]
    fn grants(&self, source: &Address) -> Option<impl Deref<Target = SourceGrants> + '_> {
        // SAFETY: an entry that is reused meanwhile names another source, which readers check behind what they have read.
        unsafe { maps::GRANTS.get(source) }
    }

    #[inline(always)]
    fn is_still_of(&self, grants: &SourceGrants, source: &Address) -> bool {
        grants::is_still_of(grants, source)
    }

    #[inline(always)]
    fn change_grants<R>(&self, source: &Address, change: impl FnOnce(&mut SourceGrants) -> R) -> Option<R> {
        grants::change(source, change)
    }

    #[inline(always)]
    fn add_grants<R>(
        &self,
        source: &Address,
        change: impl FnOnce(&mut SourceGrants) -> R,
    ) -> Result<R, TableFull> {
        grants::add(source, self.now(), self.scratch, change)
    }

    #[inline(always)]
    fn allow_connections(&self, key: &ConnectionsKey, limit: u32) {
        if let Some(scratch) = maps::CONNECTIONS_SCRATCH.get_ptr_mut(0) {
            // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
            let scratch = unsafe { &mut *scratch };
            scratch.reset(limit);
            let scratch: &Connections = scratch;
            // An LRU map always finds room.
            let _ = maps::CONNECTIONS.insert(key, scratch, 0);
        }
    }

    #[inline(always)]
    fn change_connections<R>(
        &self,
        key: &ConnectionsKey,
        change: impl FnOnce(&mut Connections) -> R,
    ) -> Option<R> {
        if !grants::lock(key, self.now()) {
            return None;
        }
        let result = maps::CONNECTIONS
            .get_ptr_mut(key)
            // SAFETY: the entry stays mapped until the program ends. Only the holder of the key's lock changes it in place; one
            // that is put in its place meanwhile has not counted what is changed here.
            .map(|connections| change(unsafe { &mut *connections }));
        grants::unlock(key);
        result
    }

    #[inline(always)]
    fn report(&self, event: &mut Event) {
        report::keep_and_signal(self.context, event);
    }

    #[inline(always)]
    fn report_in_passing(&self, event: &Event) {
        report::signal_in_passing(self.context, event);
    }

    #[inline(always)]
    fn count_suppressed(&self) {
        report::count_suppressed();
    }
}

#[inline(always)]
fn granted_mark(source: SourceIdentity) -> Option<&'static MapByte> {
    let mark = source.mark();
    maps::GRANTED.get(mark >> 3)?.get(mark as usize & 7)
}
