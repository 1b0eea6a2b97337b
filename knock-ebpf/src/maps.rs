//! Every map of the program. Sizes are set by the controller before the maps are made; what stands here is the least.
//!
//! Rules (written by the controller into the slot that does not hold, read by the program) can't be full at run time: the
//! controller checks the sizes before it writes.

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, PerfEventArray};
use knock_common::address::Address;
use knock_common::attempt::{AttemptSet, AttemptTags};
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::drops::{DROP_ENTRIES, DropRecord};
use knock_common::event::{Event, RING_EVENTS};
use knock_common::flow::FlowSet;
use knock_common::grant::SourceGrants;
use knock_common::packet::Packet;
use knock_common::reason::{COUNTED_INTERFACES, REASON_SLOTS};
use knock_common::rules::{
    Control, Door, DoorId, DoorKey, Edge, EdgeKey, Hit, HitKey, LISTENER_WORDS, OccurrenceKey, Occurrences,
    PORT_ENTRIES, PortPair, RelationKey, Rules, SequenceId, State, StateKey, TargetKey, Trust, TrustedKey,
    USED_SEQUENCES,
};
use knock_common::scanner::{Scan, ScannedKey};
use knock_common::search::Search;
use knock_common::source::GRANTED_MARKS;
use knock_common::tables::TakenKey;
use knock_common::word::Word;

use crate::verifier::compared;
use crate::word::{MapByte, MapWord};

/// What a CPU needs to judge a packet, in one value.
#[repr(C)]
pub struct Workspace {
    pub scratch: Scratch,
    /// The packet that is being judged.
    pub packet: Packet,
}

/// What is known at some points of the program and not at others: the verifier would follow the ways apart.
#[repr(C)]
pub struct Scratch {
    /// Where numbers go that the verifier is not to follow.
    pub unfollowed: MapWord,
    pub search: Search<MapWord>,
    /// Nanoseconds of CLOCK_BOOTTIME; 0: not read yet.
    pub now: MapWord,
    /// When the packet was taken for a probe, in nanoseconds of CLOCK_BOOTTIME; 0: it was not.
    pub probe: MapWord,
}

impl Scratch {
    /// The same number, out of the verifier's sight.
    #[inline(always)]
    pub fn unfollowed(&self, number: u64) -> u64 {
        self.unfollowed.store(number);
        compared();
        self.unfollowed.load()
    }
}

/// Sets in `ATTEMPTS` and `ATTEMPT_TAGS`, a power of two.
#[unsafe(no_mangle)]
pub static ATTEMPT_SETS: Global<u32> = Global::new(1);
/// Sets in `FLOWS` and in `OUTGOING`, a power of two.
#[unsafe(no_mangle)]
pub static FLOW_SETS: Global<u32> = Global::new(1);
/// Entries in `GRANT_SOURCES`.
#[unsafe(no_mangle)]
pub static GRANT_CAPACITY: Global<u32> = Global::new(1);

/// Which rules hold, and the key of all hashes. Written by the controller; one entry.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Rules: settings, by slot.
#[map]
pub static RULES: Array<Rules> = Array::with_max_entries(2, 0);

/// Rules: what is said of each port, by slot, protocol and number, two ports in a value.
#[map]
pub static PORTS: Array<PortPair> = Array::with_max_entries(PORT_ENTRIES, BPF_F_MMAPABLE);

/// Rules: symbols of knocks.
#[map]
pub static HITS: HashMap<HitKey, Hit> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: transitions of the automaton.
#[map]
pub static EDGES: HashMap<EdgeKey, Edge> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: states of the automaton.
#[map]
pub static STATES: HashMap<StateKey, State> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: where ports occur in sequences.
#[map]
pub static OCCURRENCES: HashMap<OccurrenceKey, Occurrences> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: what doors do.
#[map]
pub static DOORS: HashMap<DoorKey, Door> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: what opens, trusts, revokes or limits what.
#[map]
pub static RELATIONS: HashMap<RelationKey, u32> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: classes of the doors' targets.
#[map]
pub static TARGETS: HashMap<TargetKey, u32> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: the `destinations`. Followed by the controller while they hold, as this machine's addresses change.
#[map]
pub static DESTINATIONS: HashMap<TargetKey, u32> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Rules: trusted prefixes.
#[map]
pub static TRUSTED: LpmTrie<TrustedKey, Trust> = LpmTrie::with_max_entries(1, 0);

/// Ports with a listening socket, a bit each: TCP's 1024 words, then UDP's. Written by the controller.
#[map]
pub static LISTENERS: Array<u64> = Array::with_max_entries(LISTENER_WORDS, BPF_F_MMAPABLE);

/// Attempts. Written by the program; a full set gives up the least of its entries.
#[map]
pub static ATTEMPTS: Array<AttemptSet<MapWord>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Who may have one of the attempts, by their sets. Written by the program.
#[map]
pub static ATTEMPT_TAGS: Array<AttemptTags<MapWord>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Knocks taken on ports that a sequence has more than once. Written by the program; the least recently used go, and a late
/// copy of theirs would then count as new.
#[map]
pub static TAKEN: LruHashMap<TakenKey, u32> = LruHashMap::with_max_entries(1, 0);

/// Accepted connections. Written by the program and, for those that were there before, by the controller; a set that is full
/// of live ones records no more.
#[map]
pub static FLOWS: Array<FlowSet<MapWord>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What this machine began, and notes of who has a flow with it. Written by the programs on both ways and, for connections
/// that were there before, by the controller; a full set gives up what ends first.
#[map]
pub static OUTGOING: Array<FlowSet<MapWord>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Sources that hit closed ports, where scanners are held. Written by the program, and by the controller to end a hold; the
/// least recently seen go.
#[map]
pub static SCANS: LruHashMap<Address, Scan> = LruHashMap::with_max_entries(1, 0);

/// Closed ports that sources hit after the first of a scan, and the beginning of the scan that they count for. Written by the program; the least
/// recently hit go, and would count again.
#[map]
pub static SCANNED: LruHashMap<ScannedKey, u64> = LruHashMap::with_max_entries(1, 0);

/// IP packets by the number of a protocol other than TCP, UDP and ICMP. Written by the program; one entry per CPU.
#[map]
pub static PROTOCOLS: PerCpuArray<[u64; 256]> = PerCpuArray::with_max_entries(1, 0);

/// One-time sequences that were used. Written by the program; the controller removes those that no rules name any more. When it
/// is full, one-time sequences open nothing.
#[map]
pub static USED: HashMap<SequenceId, u32> = HashMap::with_max_entries(USED_SEQUENCES, 0);

/// Grants by source. Written by the program, and by the controller for an administrator; when it is full the program gives up
/// a source whose grants have passed, else the oldest unused of those it looks at, else refuses.
#[map]
pub static GRANTS: HashMap<Address, SourceGrants> = HashMap::with_max_entries(1, 0);

/// The sources in `GRANTS`, for finding one to give up. Whoever holds the table's lock adds the next: program or controller.
#[map]
pub static GRANT_SOURCES: Array<Address> = Array::with_max_entries(1, 0);

/// Where `GRANT_SOURCES` is written next; one entry.
#[map]
pub static GRANT_CURSOR: Array<u32> = Array::with_max_entries(1, 0);

/// Tokens of grants with limited connections. Written by the program, and by the controller with its grants; made anew by
/// each grant, the least recently used go, and a grant whose count is gone lets no further connection in.
#[map]
pub static CONNECTIONS: LruHashMap<ConnectionsKey, Connections> = LruHashMap::with_max_entries(1, 0);

/// What one CPU alone may change at a time, held while its key is there. Written by the program. When it is full nobody gets
/// the lock, and what needed it is refused.
#[map]
pub static LOCKS: HashMap<ConnectionsKey, u64> = HashMap::with_max_entries(1024, 0);

/// Completions by CPU and serial number. Written by the program, each overwriting the oldest of its CPU; read by the
/// controller, which sees by the serial numbers what it missed.
#[map]
pub static COMPLETIONS: Array<Event> = Array::with_max_entries(RING_EVENTS, 0);

/// Serial number of each CPU's last completion.
#[map]
pub static SERIALS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Wakes the controller. A full buffer loses an event, which it still finds in `COMPLETIONS`.
#[map]
pub static EVENTS: PerfEventArray<Event> = PerfEventArray::new(0);

/// Packets by interface and reason. Written by the program.
#[map]
pub static COUNTERS: PerCpuArray<[u64; REASON_SLOTS]> = PerCpuArray::with_max_entries(COUNTED_INTERFACES, 0);

/// How often each door was opened. Written by the program; a door that is not in it is added at its first time, and there is
/// room for as many as there can be rules.
#[map]
pub static OPENINGS: PerCpuHashMap<DoorId, u64> = PerCpuHashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Whether some source was granted something, by a part of its hash. Written by the program and the controller, and never unset.
#[map]
pub static GRANTED: Array<[MapByte; 8]> = Array::with_max_entries(GRANTED_MARKS / 8, BPF_F_MMAPABLE);

/// What is dropped, by port. Written by the program; ports that are hit less give way.
#[map]
pub static DROPS: PerCpuArray<DropRecord> = PerCpuArray::with_max_entries(DROP_ENTRIES, 0);

/// What the program keeps for itself: see `report::Budget`.
#[map]
pub static BUDGET: PerCpuArray<crate::report::Budget> = PerCpuArray::with_max_entries(1, 0);

/// Where packets are judged; one entry per CPU.
#[map]
pub static WORKSPACE: PerCpuArray<Workspace> = PerCpuArray::with_max_entries(1, 0);

/// Room to change a source's grants in; one entry per CPU.
#[map]
pub static GRANTS_SCRATCH: PerCpuArray<SourceGrants> = PerCpuArray::with_max_entries(1, 0);

/// Room to make a count of connections in; one entry per CPU.
#[map]
pub static CONNECTIONS_SCRATCH: PerCpuArray<Connections> = PerCpuArray::with_max_entries(1, 0);
