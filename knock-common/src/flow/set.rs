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
/// Where in a rank the deadline ends.
const RANK_SHIFT: u32 = 48;

/// What gives way where a set is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Half-open flows, then those that are closing.
    SpareTheLive,
    /// Half-open flows, then whichever ends first.
    FirstToEnd,
    /// Of those that one which ends before the newcomer does. A note about a flow must not take the flow's place.
    SoonerToEnd,
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
                    (phase as u64 + !identity.has_remote_of(tag) as u64) << RANK_SHIFT | deadline
                }
                Some(Flow { deadline, .. }) => 3 << RANK_SHIFT | deadline,
            };
            search.consider(way, rank);
        }
        let deadline = now + lives.of(flow.phase);
        let ends = search.lowest() & ((1 << RANK_SHIFT) - 1);
        if matches!(eviction, Eviction::SoonerToEnd) && ends >= deadline {
            return false;
        }
        let Some(entry) = search.best().and_then(|way| self.entries.get(way & (FLOW_WAYS - 1))) else {
            return false;
        };
        entry.life.store(0);
        entry.tag.store(identity.tag);
        entry.life.store(life(deadline, flow.phase, flow.sequence, flow.grant));
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

    const NOW: Boottime = Boottime::from_milliseconds(1_000);
    const LIVES: FlowLives = FlowLives { established: 432_000_000, closing: 120_000 };

    fn identity(remote: u8, remote_port: u16) -> FlowIdentity {
        let ends = FiveTuple {
            remote: Address::from_v4([192, 0, 2, remote]),
            local: Address::from_v4([198, 51, 100, 1]),
            remote_port,
            local_port: 22,
            kind: FlowKind::Tcp,
        };
        FlowIdentity::of(&HashKey::OF_TESTS, &ends)
    }

    /// A set, with what its users bring along.
    #[derive(Default)]
    struct Set {
        flows: FlowSet<AtomicU64>,
        search: Search<AtomicU64>,
    }

    impl Set {
        fn record(&self, identity: FlowIdentity, flow: NewFlow, at: u64, eviction: Eviction) {
            let now = Boottime::from_milliseconds(at);
            assert!(self.flows.record(identity, &flow, now, &LIVES, eviction, &self.search));
        }

        fn find(&self, identity: FlowIdentity) -> Option<(FlowWay, Flow)> {
            self.flows.find(identity, NOW, &self.search)
        }

        fn flow(&self, identity: FlowIdentity) -> Flow {
            self.find(identity).expect("it is recorded").1
        }

        /// Gives the flow's `phase` anew at that millisecond.
        fn renew(&self, identity: FlowIdentity, phase: Phase, at: u64, lives: &FlowLives) -> bool {
            let (way, flow) = self.find(identity).expect("it is recorded");
            self.flows.renew(way, &flow, flow.grant, phase, Boottime::from_milliseconds(at), lives)
        }
    }

    #[test]
    fn a_flow_is_found_as_it_was_recorded_in_a_copy_too() {
        let set = Set::default();
        let sequence = SequenceTag::of(0x1234_5678);
        let recorded = NewFlow { phase: Phase::HalfOpen, sequence, grant: GrantIndex::new(5, true) };
        set.record(identity(7, 1), recorded, 1_000, Eviction::SpareTheLive);
        set.record(identity(7, 2), NewFlow::NOTE, 1_000, Eviction::FirstToEnd);
        let flow =
            Flow { phase: Phase::HalfOpen, deadline: 31_000, sequence, grant: GrantIndex::new(5, true) };
        let copy = Set::default();
        copy.flows.copy_from(&set.flows);
        for set in [set, copy] {
            assert_eq!(set.flow(identity(7, 1)), flow);
            assert!(!set.flow(identity(7, 1)).is_note() && set.flow(identity(7, 2)).is_note());
        }
    }

    #[test]
    fn a_flow_without_end_has_the_last_deadline() {
        let set = Set::default();
        let (flow, lives) = (NewFlow::without_grant(Phase::Established), FlowLives::constant(u64::MAX / 2));
        let recorded =
            set.flows.record(identity(7, 1), &flow, NOW, &lives, Eviction::FirstToEnd, &set.search);
        assert!(recorded);
        assert_eq!(set.flow(identity(7, 1)).deadline, (1 << 40) - 1);
    }

    #[test]
    fn a_syn_takes_no_life_from_an_established_flow() {
        let set = Set::default();
        set.record(identity(7, 1), NewFlow::without_grant(Phase::Established), 1_000, Eviction::SpareTheLive);
        let sequence = SequenceTag::of(77);
        let forged = NewFlow { sequence, ..NewFlow::without_grant(Phase::HalfOpen) };
        set.record(identity(7, 1), forged, 1_000, Eviction::SpareTheLive);
        let flow = set.flow(identity(7, 1));
        assert_eq!((flow.phase, flow.deadline, flow.sequence), (Phase::Established, 432_001_000, sequence));
    }

    #[test]
    fn a_renewal_is_written_where_it_moves_the_deadline_by_enough() {
        for (established, enough) in [(432_000_000, 1_024), (1_600, 100)] {
            let (set, lives) = (Set::default(), FlowLives { established, closing: 500 });
            let all: Vec<_> = (0..FLOW_WAYS as u16).map(|port| identity(7, port)).collect();
            for (flow, at) in all.iter().zip(1_000..) {
                let (new, at) = (NewFlow::without_grant(Phase::Established), Boottime::from_milliseconds(at));
                assert!(set.flows.record(*flow, &new, at, &lives, Eviction::FirstToEnd, &set.search));
            }
            for (&flow, at) in all.iter().zip(1_000..) {
                assert!(!set.renew(flow, Phase::Established, at + enough - 1, &lives));
                assert_eq!(set.flow(flow).deadline, at + established);
                assert!(set.renew(flow, Phase::Established, at + enough, &lives));
                assert_eq!(set.flow(flow).deadline, at + enough + established);
            }
            // Another phase is, whatever its deadline.
            let until = all.iter().map(|&flow| set.flow(flow).deadline).collect::<Vec<_>>();
            for (&flow, until) in all.iter().zip(until) {
                assert!(set.renew(flow, Phase::Closing, until - 500, &lives));
                assert_eq!((set.flow(flow).phase, set.flow(flow).deadline), (Phase::Closing, until));
            }
        }
    }

    #[test]
    fn a_spent_token_is_written_and_moves_no_deadline() {
        let set = Set::default();
        let new = NewFlow { grant: GrantIndex::new(5, true), ..NewFlow::without_grant(Phase::Established) };
        set.record(identity(7, 1), new, 1_000, Eviction::SpareTheLive);
        let (way, flow) = set.find(identity(7, 1)).unwrap();
        let soon = Boottime::from_milliseconds(1_001);
        assert!(!set.flows.renew(way, &flow, flow.grant.spent(), flow.phase, soon, &LIVES));
        assert_eq!(set.flow(identity(7, 1)), Flow { grant: flow.grant.spent(), ..flow });
    }

    #[test]
    fn of_established_flows_that_may_go_the_first_to_end_does_whosever_it_is() {
        let set = Set::default();
        for port in 0..FLOW_WAYS as u16 {
            let remote = if port == 3 { 8 } else { 7 };
            let at = if port == 3 { 1_000 } else { 2_000 };
            set.record(
                identity(remote, port),
                NewFlow::without_grant(Phase::Established),
                at,
                Eviction::FirstToEnd,
            );
        }
        set.record(identity(7, 99), NewFlow::without_grant(Phase::Established), 2_000, Eviction::FirstToEnd);
        assert_eq!(set.find(identity(8, 3)), None);
        assert!((0..FLOW_WAYS as u16).all(|port| port == 3 || set.find(identity(7, port)).is_some()));
    }

    #[test]
    fn a_token_stays_lent_through_renewals_until_it_is_spent() {
        let set = Set::default();
        let limited = GrantIndex::new(5, true);
        let opened = NewFlow { grant: limited, ..NewFlow::without_grant(Phase::HalfOpen) };
        set.record(identity(7, 1), opened, 1_000, Eviction::SpareTheLive);
        let renewed = |kept: fn(GrantIndex) -> GrantIndex| {
            let (way, flow) = set.find(identity(7, 1)).unwrap();
            set.flows.renew(way, &flow, kept(flow.grant), Phase::Established, NOW, &LIVES);
            set.flow(identity(7, 1)).grant
        };
        // The second and third are worth no write but for the token.
        assert_eq!(renewed(|grant| grant), limited);
        assert_eq!(renewed(|grant| grant), limited);
        let spent = renewed(GrantIndex::spent);
        assert!(!spent.is_lent() && spent.is_limited());
        assert_eq!(spent.index(), 5);
    }
}
