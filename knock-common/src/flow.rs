//! Flows: the connections that were accepted under a grant, and those that this machine began.
//!
//! Two tables of one kind, set-associative again. That of accepted flows never evicts a live established one, and an address
//! falls into so few of its sets that a flood which forges one can't crowd out the others. That of outgoing flows gives up
//! the one whose time is up first, and spreads over all sets: a machine may well talk to one other alone.

use crate::address::Address;
use crate::grant::GRANTS_PER_SOURCE;
use crate::hash::HashKey;
use crate::port::Protocol;
use crate::search::Search;
use crate::time::Boottime;
use crate::word::Word;

/// Entries in a set.
pub const FLOW_WAYS: usize = 16;

/// Milliseconds that a flow waits for the client's first packet after its SYN.
pub const HALF_OPEN_LIFE: u64 = 30_000;

/// A renewal that moves the deadline by less, in milliseconds, is not worth a write; nor, in a short life, one that moves it
/// by less than this power of two's part of it.
const RENEWAL_STEP: u64 = 1024;
const RENEWAL_SHARE_SHIFT: u32 = 4;

const GRANT_SHIFT: u32 = 2;
const GRANT_BITS: u64 = 0x1f;
const SEQUENCE_SHIFT: u32 = 7;
const SEQUENCE_BITS: u32 = 0x1_ffff;
const DEADLINE_SHIFT: u32 = 24;
/// Milliseconds of CLOCK_BOOTTIME: 34 years.
const DEADLINE_MAX: u64 = u64::MAX >> DEADLINE_SHIFT;

/// Mark of an entry that is not empty, and in the tag below it 15 bits of the remote address's hash and 48 of the flow's.
const IN_USE: u64 = 1 << 63;
const REMOTE_SHIFT: u32 = 48;
const REMOTE_BITS: u64 = 0x7fff;
const TUPLE_BITS: u64 = (1 << REMOTE_SHIFT) - 1;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The first packet was seen, and no answer to it.
    HalfOpen = 1,
    Established = 2,
    /// A FIN or RST was seen; payload makes it established again, so that a forged one cuts nobody off.
    Closing = 3,
}

impl Phase {
    #[inline(always)]
    const fn from_bits(bits: u64) -> Option<Self> {
        match bits & 3 {
            1 => Some(Self::HalfOpen),
            2 => Some(Self::Established),
            3 => Some(Self::Closing),
            _ => None,
        }
    }
}

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FlowKind {
    Tcp = 0,
    Udp = 1,
    /// An address that has some flow with this machine; addresses and ports but the remote one's are nought.
    Peer = 2,
    /// A datagram that would have been dropped, were the rules enforced: the answer to it begins nothing.
    Unasked = 3,
}

impl FlowKind {
    #[inline(always)]
    pub const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}

/// The two ends of a connection, as this machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    pub remote: Address,
    pub local: Address,
    pub remote_port: u16,
    pub local_port: u16,
    pub kind: FlowKind,
}

impl FiveTuple {
    /// The entry that says that `remote` has some flow with this machine.
    #[inline(always)]
    pub const fn of_peer(remote: Address) -> Self {
        Self { remote, local: Address::UNSPECIFIED, remote_port: 0, local_port: 0, kind: FlowKind::Peer }
    }
}

/// What an entry keeps of a five-tuple, and where the entry may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowIdentity {
    tag: u64,
    remote: u32,
}

impl FlowIdentity {
    #[inline(always)]
    pub fn of(key: &HashKey, tuple: &FiveTuple) -> Self {
        let ports = (tuple.kind as u64) << 32 | (tuple.remote_port as u64) << 16 | tuple.local_port as u64;
        let remote = key.address(&tuple.remote);
        let tuple = key.five_tuple(&tuple.remote, &tuple.local, ports);
        let tag = IN_USE | (remote >> 32 & REMOTE_BITS) << REMOTE_SHIFT | tuple & TUPLE_BITS;
        Self { tag, remote: remote as u32 }
    }

    /// The set in a table of `sets` sets of accepted flows, a power of two: one of the few that are the remote address's.
    #[inline(always)]
    pub const fn accepted_set(&self, sets: u32) -> u32 {
        let spread = self.tag as u32 & sets_of_one_address(sets).wrapping_sub(1);
        self.remote.wrapping_add(spread) & sets.wrapping_sub(1)
    }

    /// The set in a table of `sets` sets of outgoing flows, a power of two.
    #[inline(always)]
    pub const fn outgoing_set(&self, sets: u32) -> u32 {
        self.tag as u32 & sets.wrapping_sub(1)
    }

    /// 32 bits that tell a connection from others under the same grant.
    #[inline(always)]
    pub const fn short(&self) -> u32 {
        (self.tag >> 16) as u32
    }

    #[inline(always)]
    const fn has_remote_of(&self, tag: u64) -> bool {
        (self.tag ^ tag) >> REMOTE_SHIFT == 0
    }
}

/// What a flow keeps of the sequence number of the SYN that began it: 17 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceTag(u32);

impl SequenceTag {
    #[inline(always)]
    pub const fn of(sequence_number: u32) -> Self {
        Self((sequence_number ^ sequence_number >> 15) & SEQUENCE_BITS)
    }
}

/// How many sets one remote address can fill: a 256th of the table, but 64 at most.
#[inline(always)]
const fn sets_of_one_address(sets: u32) -> u32 {
    match sets / 256 {
        0 => 1,
        64.. => 64,
        few => few,
    }
}

/// Which of its source's grants let a connection in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantIndex(u8);

impl GrantIndex {
    /// Of a connection that no grant let in.
    pub const NONE: Self = Self(0);

    /// Of what is no connection, but noted among them.
    const NOTE: Self = Self(Self::LENT);

    const LIMITED: u8 = 1 << 3;
    const LENT: u8 = 1 << 4;

    /// `limited`: the grant allows only so many connections, and has lent this one a token.
    #[inline(always)]
    pub const fn new(index: usize, limited: bool) -> Self {
        Self(index as u8 & 7 | if limited { Self::LIMITED | Self::LENT } else { 0 })
    }

    #[inline(always)]
    pub const fn index(self) -> usize {
        (self.0 & 7) as usize
    }

    #[inline(always)]
    pub const fn is_limited(self) -> bool {
        self.0 & Self::LIMITED != 0
    }

    /// Whether the connection has a token that is not spent yet.
    #[inline(always)]
    pub const fn is_lent(self) -> bool {
        self.0 & Self::LENT != 0
    }

    #[inline(always)]
    pub(crate) const fn spent(self) -> Self {
        Self(self.0 & !Self::LENT)
    }
}

const _: () = assert!(GRANTS_PER_SOURCE == 8);

/// A connection to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    pub phase: Phase,
    pub sequence: SequenceTag,
    pub grant: GrantIndex,
}

impl NewFlow {
    /// One that no grant let in.
    #[inline(always)]
    pub const fn without_grant(phase: Phase) -> Self {
        Self { phase, sequence: SequenceTag::of(0), grant: GrantIndex::NONE }
    }

    /// What is no connection, but noted among them.
    pub(crate) const NOTE: Self =
        Self { phase: Phase::Established, sequence: SequenceTag::of(0), grant: GrantIndex::NOTE };
}

impl Flow {
    /// Whether it is no connection, but a note of one kind or another among the outgoing ones.
    pub const fn is_note(&self) -> bool {
        self.grant.0 == GrantIndex::NOTE.0
    }
}

/// What gives way where a set is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Half-open flows alone.
    SpareTheLive,
    /// Whichever ends first.
    FirstToEnd,
}

/// A recorded connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub phase: Phase,
    /// Milliseconds of CLOCK_BOOTTIME.
    pub deadline: u64,
    pub sequence: SequenceTag,
    pub grant: GrantIndex,
}

#[derive(Default)]
#[repr(C)]
struct Entry<W> {
    tag: W,
    /// Phase in the two lowest bits, grant in the next five, sequence tag in the next 17, above them the deadline in
    /// milliseconds.
    life: W,
}

impl<W: Word> Entry<W> {
    #[inline(always)]
    fn read(&self, now: u64) -> Option<Flow> {
        let life = self.life.load();
        let phase = Phase::from_bits(life)?;
        let deadline = life >> DEADLINE_SHIFT;
        let sequence = SequenceTag((life >> SEQUENCE_SHIFT) as u32 & SEQUENCE_BITS);
        let grant = GrantIndex((life >> GRANT_SHIFT & GRANT_BITS) as u8);
        if deadline <= now { None } else { Some(Flow { phase, deadline, sequence, grant }) }
    }
}

/// How long flows live, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLives {
    pub established: u64,
    pub closing: u64,
}

impl FlowLives {
    /// The same life, half-open ones aside, whatever the phase.
    #[inline(always)]
    pub const fn constant(life: u64) -> Self {
        Self { established: life, closing: life }
    }

    #[inline(always)]
    const fn of(&self, phase: Phase) -> u64 {
        match phase {
            Phase::HalfOpen => HALF_OPEN_LIFE,
            Phase::Established => self.established,
            Phase::Closing => self.closing,
        }
    }
}

/// The flows that share a set.
#[derive(Default)]
#[repr(C)]
pub struct FlowSet<W> {
    entries: [Entry<W>; FLOW_WAYS],
}

/// Where in its set a flow lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowWay(usize);

impl<W: Word> FlowSet<W> {
    #[inline(always)]
    pub fn find(&self, flow: FlowIdentity, now: Boottime, search: &Search<W>) -> Option<(FlowWay, Flow)> {
        search.begin();
        for (way, entry) in self.entries.iter().enumerate() {
            if entry.tag.load() == flow.tag {
                search.consider(way, 0);
            }
        }
        let way = search.best()?;
        let flow = self.entries.get(way & (FLOW_WAYS - 1))?.read(now.milliseconds())?;
        Some((FlowWay(way), flow))
    }

    /// Records a connection: in the place of an older record of its own, of an expired flow, of a half-open one of the
    /// same address, of the oldest half-open one, or of what else `eviction` gives up. An accepted connection that lives
    /// takes over the SYN's sequence number and grant alone: a forged SYN must not make it half-open. `false`: there is no
    /// room.
    #[inline(always)]
    pub fn record(
        &self,
        identity: FlowIdentity,
        flow: &NewFlow,
        now: Boottime,
        lives: &FlowLives,
        eviction: Eviction,
        search: &Search<W>,
    ) -> bool {
        let now = now.milliseconds();
        let spare_the_live = matches!(eviction, Eviction::SpareTheLive);
        search.begin();
        for (way, entry) in self.entries.iter().enumerate() {
            let tag = entry.tag.load();
            let own = tag == identity.tag;
            let rank = match entry.read(now) {
                Some(Flow { phase: phase @ (Phase::Established | Phase::Closing), deadline, .. })
                    if own && spare_the_live =>
                {
                    entry.life.store(life(deadline, phase, flow.sequence, flow.grant));
                    return true;
                }
                _ if own => 0,
                None => 1,
                Some(Flow { phase: Phase::HalfOpen, deadline, .. }) => {
                    let others = !identity.has_remote_of(tag);
                    (others as u64 + 1) << 48 | deadline
                }
                Some(_) if spare_the_live => u64::MAX,
                Some(Flow { deadline, .. }) => 3 << 48 | deadline,
            };
            search.consider(way, rank);
        }
        let Some(entry) = search.best().and_then(|way| self.entries.get(way & (FLOW_WAYS - 1))) else {
            return false;
        };
        entry.life.store(0);
        entry.tag.store(identity.tag);
        entry.life.store(life(now + lives.of(flow.phase), flow.phase, flow.sequence, flow.grant));
        true
    }

    /// Gives the flow a new phase and the life that goes with it, and `grant`. `false`: it has the life already, but for a
    /// little.
    #[inline(always)]
    pub fn renew(
        &self,
        way: FlowWay,
        old: &Flow,
        grant: GrantIndex,
        phase: Phase,
        now: Boottime,
        lives: &FlowLives,
    ) -> bool {
        let lifetime = lives.of(phase);
        let deadline = now.milliseconds() + lifetime;
        let step = RENEWAL_STEP.min(lifetime >> RENEWAL_SHARE_SHIFT);
        let worth_it = phase as u8 != old.phase as u8 || deadline.abs_diff(old.deadline) >= step;
        if !worth_it && grant.0 == old.grant.0 {
            return false;
        }
        let deadline = if worth_it { deadline } else { old.deadline };
        if let Some(entry) = self.entries.get(way.0 & (FLOW_WAYS - 1)) {
            entry.life.store(life(deadline, phase, old.sequence, grant));
        }
        worth_it
    }

    /// The flows that are not over, for counting.
    pub fn live(&self, now: Boottime) -> impl Iterator<Item = Flow> + '_ {
        let now = now.milliseconds();
        self.entries.iter().filter_map(move |entry| entry.read(now))
    }
}

#[inline(always)]
const fn life(deadline: u64, phase: Phase, sequence: SequenceTag, grant: GrantIndex) -> u64 {
    let deadline = if deadline < DEADLINE_MAX { deadline } else { DEADLINE_MAX };
    deadline << DEADLINE_SHIFT
        | (sequence.0 as u64) << SEQUENCE_SHIFT
        | (grant.0 as u64) << GRANT_SHIFT
        | phase as u64
}

const _: () = assert!(size_of::<FlowSet<u64>>() == 256);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn a_token_stays_lent_through_renewals_until_it_is_spent() {
        let set = FlowSet::<AtomicU64>::default();
        let search = Search::default();
        let lives = FlowLives { established: 432_000_000, closing: 120_000 };
        let now = Boottime::from_milliseconds(1000);
        let ends = FiveTuple {
            remote: Address::from_v4([192, 0, 2, 7]),
            local: Address::from_v4([198, 51, 100, 1]),
            remote_port: 40_000,
            local_port: 22,
            kind: FlowKind::Tcp,
        };
        let identity = FlowIdentity::of(&HashKey([1, 2, 3, 4, 5]), &ends);
        let limited = GrantIndex::new(5, true);
        let opened = NewFlow { grant: limited, ..NewFlow::without_grant(Phase::HalfOpen) };
        assert!(set.record(identity, &opened, now, &lives, Eviction::SpareTheLive, &search));
        let renewed = |kept: fn(GrantIndex) -> GrantIndex| {
            let (way, flow) = set.find(identity, now, &search).unwrap();
            set.renew(way, &flow, kept(flow.grant), Phase::Established, now, &lives);
            set.find(identity, now, &search).unwrap().1.grant
        };
        // The second and third are worth no write but for the token.
        assert_eq!(renewed(|grant| grant), limited);
        assert_eq!(renewed(|grant| grant), limited);
        let spent = renewed(GrantIndex::spent);
        assert!(!spent.is_lent() && spent.is_limited());
        assert_eq!(spent.index(), 5);
    }
}
