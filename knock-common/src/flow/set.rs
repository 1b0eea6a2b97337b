//! The flows that share a set of their table.

use super::{FLOW_WAYS, Flow, FlowIdentity, FlowLives, GrantIndex, NewFlow, Phase, SequenceTag};
use crate::search::Search;
use crate::time::Boottime;
use crate::word::Word;

/// A renewal that moves the deadline by less, in milliseconds, is not worth a write; nor, in a short life, one that moves it
/// by less than this power of two's part of it.
const RENEWAL_STEP: u64 = 1024;
const RENEWAL_SHARE_SHIFT: u32 = 4;

const GRANT_SHIFT: u32 = 2;
const SEQUENCE_SHIFT: u32 = 7;
const DEADLINE_SHIFT: u32 = 24;
/// Milliseconds of CLOCK_BOOTTIME: 34 years.
const DEADLINE_MAX: u64 = u64::MAX >> DEADLINE_SHIFT;

/// What gives way where a set is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Half-open flows, then those that are closing.
    SpareTheLive,
    /// Whichever ends first.
    FirstToEnd,
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

    /// Records a connection: in the place of an older record of its own, of an expired flow, of a half-open one, or of what
    /// else `eviction` gives up. Of one kind those of the same address go first, of those the one that ends first. An accepted
    /// connection that lives takes over the SYN's sequence number and grant alone: a forged SYN must not make it half-open.
    /// `false`: there is no room.
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
                Some(Flow { phase: Phase::Established, .. }) if spare_the_live => u64::MAX,
                // One way for both phases: each way more is one more for the verifier, at each of the entries.
                Some(Flow { phase, deadline, .. }) if spare_the_live || matches!(phase, Phase::HalfOpen) => {
                    (phase as u64 + !identity.has_remote_of(tag) as u64) << 48 | deadline
                }
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
        if !worth_it && grant.bits() == old.grant.bits() {
            return false;
        }
        let deadline = if worth_it { deadline } else { old.deadline };
        if let Some(entry) = self.entries.get(way.0 & (FLOW_WAYS - 1)) {
            entry.life.store(life(deadline, phase, old.sequence, grant));
        }
        worth_it
    }

    /// Takes over the entries of another set, each as it is at that moment.
    pub fn copy_from(&self, other: &FlowSet<impl Word>) {
        for (own, others) in self.entries.iter().zip(&other.entries) {
            own.tag.store(others.tag.load());
            own.life.store(others.life.load());
        }
    }

    /// The flows of the identity's remote address that are not over. What is kept of an address are 15 bits of a hash, so that
    /// one of 32,768 others in the same set would be taken for it.
    pub fn live_of_remote(&self, identity: FlowIdentity, now: Boottime) -> impl Iterator<Item = Flow> + '_ {
        let now = now.milliseconds();
        self.entries
            .iter()
            .filter(move |entry| identity.has_remote_of(entry.tag.load()))
            .filter_map(move |entry| entry.read(now))
    }

    /// The flows that are not over, for counting.
    pub fn live(&self, now: Boottime) -> impl Iterator<Item = Flow> + '_ {
        let now = now.milliseconds();
        self.entries.iter().filter_map(move |entry| entry.read(now))
    }
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
        let sequence = SequenceTag::from_bits((life >> SEQUENCE_SHIFT) as u32);
        let grant = GrantIndex::from_bits(life >> GRANT_SHIFT);
        if deadline <= now { None } else { Some(Flow { phase, deadline, sequence, grant }) }
    }
}

#[inline(always)]
const fn life(deadline: u64, phase: Phase, sequence: SequenceTag, grant: GrantIndex) -> u64 {
    let deadline = if deadline < DEADLINE_MAX { deadline } else { DEADLINE_MAX };
    deadline << DEADLINE_SHIFT
        | (sequence.bits() as u64) << SEQUENCE_SHIFT
        | grant.bits() << GRANT_SHIFT
        | phase as u64
}

const _: () = assert!(size_of::<FlowSet<u64>>() == 256);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::address::Address;
    use crate::flow::{FiveTuple, FlowKind};
    use crate::hash::HashKey;

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
