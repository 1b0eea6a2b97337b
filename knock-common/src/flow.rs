//! Flows: the TCP connections that were accepted under a grant, so that they outlive it.
//!
//! A set-associative table again: it never evicts a live established flow, and an address falls into so few of its sets
//! that a flood which forges one can't crowd out the others.

use crate::address::Address;
use crate::grant::GRANTS_PER_SOURCE;
use crate::hash::HashKey;
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
const DEADLINE_SHIFT: u32 = 7;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The client's SYN was seen, and nothing since.
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

/// The two ends of a connection, as this machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    pub remote: Address,
    pub local: Address,
    pub remote_port: u16,
    pub local_port: u16,
}

/// What an entry keeps of a five-tuple, and where the entry may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowIdentity {
    tag: u64,
    remote: u64,
}

impl FlowIdentity {
    #[inline(always)]
    pub fn of(key: &HashKey, tuple: &FiveTuple) -> Self {
        let ports = (tuple.remote_port as u64) << 16 | tuple.local_port as u64;
        // Never 0, the mark of an empty entry.
        let tag = key.five_tuple(&tuple.remote, &tuple.local, ports) | 1 << 63;
        Self { tag, remote: key.address(&tuple.remote) }
    }

    /// The set in a table of `sets` sets, a power of two: one of the few that are the remote address's.
    #[inline(always)]
    pub const fn set(&self, sets: u32) -> u32 {
        let spread = self.tag as u32 & sets_of_one_address(sets).wrapping_sub(1);
        (self.remote as u32).wrapping_add(spread) & sets.wrapping_sub(1)
    }

    /// 32 bits that tell a connection from others under the same grant.
    #[inline(always)]
    pub const fn short(&self) -> u32 {
        (self.tag >> 16) as u32
    }

    #[inline(always)]
    const fn remote_tag(&self) -> u64 {
        self.remote >> 32
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
    const fn spent(self) -> Self {
        Self(self.0 & !Self::LENT)
    }
}

const _: () = assert!(GRANTS_PER_SOURCE == 8);

/// A connection to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    pub phase: Phase,
    /// Of the client's SYN.
    pub sequence_number: u32,
    pub grant: GrantIndex,
}

/// A recorded connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub phase: Phase,
    /// Milliseconds of CLOCK_BOOTTIME.
    pub deadline: u64,
    /// Of the client's SYN.
    pub sequence_number: u32,
    pub grant: GrantIndex,
}

#[derive(Default)]
#[repr(C)]
struct Entry<W> {
    tag: W,
    /// Phase in the two lowest bits, grant in the next five, above them the deadline in milliseconds.
    life: W,
    /// Hash of the remote address, sequence number of the SYN.
    origin: W,
}

impl<W: Word> Entry<W> {
    #[inline(always)]
    fn read(&self, now: u64) -> Option<Flow> {
        let life = self.life.load();
        let phase = Phase::from_bits(life)?;
        let deadline = life >> DEADLINE_SHIFT;
        let sequence_number = self.origin.load() as u32;
        let grant = GrantIndex((life >> GRANT_SHIFT & GRANT_BITS) as u8);
        if deadline <= now { None } else { Some(Flow { phase, deadline, sequence_number, grant }) }
    }
}

/// How long flows live, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLives {
    pub established: u64,
    pub closing: u64,
}

impl FlowLives {
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
    /// same address, or of the oldest half-open one. A connection that lives takes over the SYN's sequence number and
    /// grant alone: a forged SYN must not make it half-open. `false`: the set is full of live connections.
    #[inline(always)]
    pub fn record(
        &self,
        identity: FlowIdentity,
        flow: &NewFlow,
        now: Boottime,
        lives: &FlowLives,
        search: &Search<W>,
    ) -> bool {
        let now = now.milliseconds();
        search.begin();
        for (way, entry) in self.entries.iter().enumerate() {
            let own = entry.tag.load() == identity.tag;
            let rank = match entry.read(now) {
                Some(Flow { phase: phase @ (Phase::Established | Phase::Closing), deadline, .. }) if own => {
                    entry.life.store(life(deadline, phase, flow.grant));
                    entry.origin.store(origin(identity, flow));
                    return true;
                }
                _ if own => 0,
                None => 1,
                Some(Flow { phase: Phase::HalfOpen, deadline, .. }) => {
                    let others = entry.origin.load() >> 32 != identity.remote_tag();
                    (others as u64 + 1) << 48 | deadline
                }
                Some(_) => u64::MAX,
            };
            search.consider(way, rank);
        }
        let Some(entry) = search.best().and_then(|way| self.entries.get(way & (FLOW_WAYS - 1))) else {
            return false;
        };
        entry.life.store(0);
        entry.tag.store(identity.tag);
        entry.origin.store(origin(identity, flow));
        entry.life.store(life(now + lives.of(flow.phase), flow.phase, flow.grant));
        true
    }

    /// Gives the flow a new phase and the life that goes with it.
    #[inline(always)]
    pub fn renew(&self, way: FlowWay, old: &Flow, phase: Phase, now: Boottime, lives: &FlowLives) {
        let lifetime = lives.of(phase);
        let deadline = now.milliseconds() + lifetime;
        let step = RENEWAL_STEP.min(lifetime >> RENEWAL_SHARE_SHIFT);
        let worth_it = phase as u8 != old.phase as u8 || deadline.abs_diff(old.deadline) >= step;
        if !worth_it && !old.grant.is_lent() {
            return;
        }
        let deadline = if worth_it { deadline } else { old.deadline };
        if let Some(entry) = self.entries.get(way.0 & (FLOW_WAYS - 1)) {
            entry.life.store(life(deadline, phase, old.grant.spent()));
        }
    }

    /// The flows that are not over, for counting.
    pub fn live(&self, now: Boottime) -> impl Iterator<Item = Flow> + '_ {
        let now = now.milliseconds();
        self.entries.iter().filter_map(move |entry| entry.read(now))
    }
}

#[inline(always)]
const fn origin(identity: FlowIdentity, flow: &NewFlow) -> u64 {
    identity.remote_tag() << 32 | flow.sequence_number as u64
}

#[inline(always)]
const fn life(deadline: u64, phase: Phase, grant: GrantIndex) -> u64 {
    deadline << DEADLINE_SHIFT | (grant.0 as u64) << GRANT_SHIFT | phase as u64
}

const _: () = assert!(size_of::<FlowSet<u64>>() == 384);
