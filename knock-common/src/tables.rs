//! What the core looks up and changes: implemented by the kernel program over BPF maps, and over ordinary memory
//! wherever packets are judged outside the kernel.

use core::ops::Deref;

use crate::address::Address;
use crate::attempt::{AttemptSet, AttemptTags};
use crate::connection::{Connections, ConnectionsKey};
use crate::event::Event;
use crate::flow::FlowSet;
use crate::grant::SourceGrants;
use crate::hash::HashKey;
use crate::port::Protocol;
use crate::rules::{
    Door, DoorKey, Edge, EdgeKey, Hit, HitKey, OccurrenceKey, Occurrences, PortEntry, RelationKey, Rules,
    SequenceId, Slot, State, StateKey, Trust,
};
use crate::scanner::{Scan, ScannedKey};
use crate::search::Search;
use crate::source::SourceIdentity;
use crate::time::Boottime;
use crate::word::Word;

/// Later fragments of unknown sources that pass under `policy = "drop"`, per CPU and second of CLOCK_BOOTTIME.
pub const FRAGMENTS_PER_SECOND: u32 = 1024;

/// The table has no room, and nothing in it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

/// A knock that was taken on a port which some sequence has more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TakenKey {
    pub source: Address,
    /// When the attempt began, in milliseconds of CLOCK_BOOTTIME.
    pub started: u64,
    /// 0 for UDP.
    pub sequence_number: u32,
    pub port: u16,
    pub source_port: u16,
    pub protocol: u32,
    /// Fingerprint of the attempt's first knock: one that was reset may have begun in the same millisecond.
    pub first_knock: u32,
}

const _: () = assert!(size_of::<TakenKey>() == 40);

pub trait Tables {
    /// What the tables of attempts and flows are made of.
    type Word: Word;

    /// Read lazily, once a rule needs the time.
    fn now(&self) -> Boottime;
    /// As [`crate::frame::Frame::unfollowed`].
    fn unfollowed(&self, number: u64) -> u64;
    /// Where searches keep what they find.
    fn search(&self) -> &Search<Self::Word>;
    /// Where it is kept when the packet was taken for a probe, in nanoseconds of CLOCK_BOOTTIME; 0 before it is judged.
    fn probe(&self) -> &Self::Word;
    fn hash_key(&self) -> &HashKey;

    /// The set of rules that holds for this packet.
    fn slot(&self) -> Slot;
    fn rules(&self) -> &Rules;
    fn port(&self, protocol: Protocol, number: u16) -> PortEntry;
    fn hit(&self, key: &HitKey) -> Option<Hit>;
    fn edge(&self, key: &EdgeKey) -> Option<Edge>;
    fn state(&self, key: &StateKey) -> Option<State>;
    fn occurrences(&self, key: &OccurrenceKey) -> Option<Occurrences>;
    fn door(&self, key: &DoorKey) -> Option<Door>;
    fn related(&self, key: &RelationKey) -> bool;
    /// 0: no door's target.
    fn target_class(&self, destination: &Address) -> u32;
    fn trust(&self, source: &Address) -> Option<Trust>;
    /// Whether a socket of this host listens on the port.
    fn has_listener(&self, protocol: Protocol, number: u16) -> bool;

    /// Number of sets, a power of two.
    fn attempt_sets(&self) -> u32;
    fn attempt_set(&self, set: u32) -> Option<&AttemptSet<Self::Word>>;
    /// Of the same set.
    fn attempt_tags(&self, set: u32) -> Option<&AttemptTags<Self::Word>>;
    fn was_taken(&self, key: &TakenKey) -> bool;
    fn remember_taken(&self, key: &TakenKey);

    /// Whether a one-time sequence was used.
    fn is_used(&self, sequence: SequenceId) -> bool;
    /// Notes that a one-time sequence is used. `false`: it was before, or that can't be noted.
    fn use_up(&self, sequence: SequenceId) -> bool;

    /// Whether the address is one of the `destinations`.
    fn is_destination(&self, address: &Address) -> bool;

    /// Number of sets of accepted flows, and of outgoing ones: a power of two.
    fn flow_sets(&self) -> u32;
    /// Accepted flows.
    fn flow_set(&self, set: u32) -> Option<&FlowSet<Self::Word>>;
    fn outgoing_set(&self, set: u32) -> Option<&FlowSet<Self::Word>>;

    /// Whether one more fragment of an unknown source may pass in this second, which is counted.
    fn may_pass_fragment(&self) -> bool;

    fn scan(&self, source: &Address) -> Option<Scan>;
    fn store_scan(&self, source: &Address, scan: &Scan);
    /// Notes a port that a source hit in the scan that began at `started`, other than its first. `false`: it was noted already.
    fn note_scanned(&self, key: &ScannedKey, started: u64) -> bool;

    /// `false`: the source was never granted anything. Spares strangers the look-up of their grants.
    fn may_hold_grants(&self, source: SourceIdentity) -> bool;
    /// From now on the source may hold grants: to be called before it does.
    fn mark_granted(&self, source: SourceIdentity);
    fn grants(&self, source: &Address) -> Option<impl Deref<Target = SourceGrants> + '_>;
    /// Whether the entry is the source's still, and so was all that has been read of it: who reuses one writes its source first.
    fn is_still_of(&self, grants: &SourceGrants, source: &Address) -> bool;
    /// Changes the source's grants as one. `None`: it has none.
    fn change_grants<R>(&self, source: &Address, change: impl FnOnce(&mut SourceGrants) -> R) -> Option<R>;
    /// Changes the source's grants as one; makes an entry where there is none.
    fn add_grants<R>(
        &self,
        source: &Address,
        change: impl FnOnce(&mut SourceGrants) -> R,
    ) -> Result<R, TableFull>;
    /// Counts anew: `limit` connections are left.
    fn allow_connections(&self, key: &ConnectionsKey, limit: u32);
    /// Changes the count while no other CPU does. `None`: there is none, or another CPU is at it.
    fn change_connections<R>(
        &self,
        key: &ConnectionsKey,
        change: impl FnOnce(&mut Connections) -> R,
    ) -> Option<R>;

    /// Keeps a completion until the controller has read it, and signals it.
    fn report(&self, event: &mut Event);
    /// Signals what need not be kept, unless there has been too much of late.
    fn report_in_passing(&self, event: &Event);
    /// Counts an event that is left out because one like it was just reported.
    fn count_suppressed(&self);
}
