//! What tells flows apart.

use crate::address::Address;
use crate::hash::HashKey;
use crate::port::Protocol;

/// Mark of an entry that is not empty, and in the tag below it 15 bits of the remote address's hash and 48 of the flow's.
const IN_USE: u64 = 1 << 63;
const REMOTE_SHIFT: u32 = 48;
const REMOTE_BITS: u64 = 0x7fff;
const TUPLE_BITS: u64 = (1 << REMOTE_SHIFT) - 1;

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
    pub(super) tag: u64,
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

    /// All sets in a table of `sets` sets of accepted flows that hold flows of the remote address.
    pub fn accepted_sets(&self, sets: u32) -> impl Iterator<Item = u32> + use<> {
        let remote = self.remote;
        (0..sets_of_one_address(sets)).map(move |spread| remote.wrapping_add(spread) & sets.wrapping_sub(1))
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
    pub(super) const fn has_remote_of(&self, tag: u64) -> bool {
        (self.tag ^ tag) >> REMOTE_SHIFT == 0
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const KEY: HashKey = HashKey::OF_TESTS;

    const TUPLE: FiveTuple = FiveTuple {
        remote: Address::from_v4([192, 0, 2, 1]),
        local: Address::from_v4([198, 51, 100, 1]),
        remote_port: 50_000,
        local_port: 22,
        kind: FlowKind::Tcp,
    };

    #[test]
    fn every_part_of_a_five_tuple_counts_in_its_tag() {
        let others = [
            FiveTuple { remote: TUPLE.local, ..TUPLE },
            FiveTuple { local: TUPLE.remote, ..TUPLE },
            FiveTuple { remote_port: 50_001, ..TUPLE },
            FiveTuple { local_port: 23, ..TUPLE },
            FiveTuple { kind: FlowKind::Udp, ..TUPLE },
            FiveTuple { kind: FlowKind::Unasked, ..TUPLE },
        ];
        for other in others {
            assert_ne!(FlowIdentity::of(&KEY, &other).tag, FlowIdentity::of(&KEY, &TUPLE).tag, "{other:?}");
        }
    }

    #[test]
    fn a_tag_is_never_nought_and_has_the_remote_addresss_hash_in_its_own_place() {
        for remote_port in 0..1_000 {
            let tuple = FiveTuple { remote_port, ..TUPLE };
            let ports = u64::from(remote_port) << 16 | 22;
            let identity = FlowIdentity::of(&KEY, &tuple);
            let [remote, whole] =
                [KEY.address(&TUPLE.remote), KEY.five_tuple(&TUPLE.remote, &TUPLE.local, ports)];
            assert_eq!(identity.tag >> 63, 1);
            assert_eq!(identity.tag >> 48 & 0x7fff, remote >> 32 & 0x7fff);
            assert_eq!(identity.tag & 0xffff_ffff_ffff, whole & 0xffff_ffff_ffff);
        }
    }

    #[test]
    fn connections_under_a_grant_are_told_apart() {
        let short = |remote_port| FlowIdentity::of(&KEY, &FiveTuple { remote_port, ..TUPLE }).short();
        let told_apart = (0..10_000).map(short).collect::<HashSet<_>>().len();
        assert!(told_apart > 9_990, "{told_apart} of 10,000");
    }

    #[test]
    fn an_address_has_a_256th_of_the_sets_and_no_more_than_64() {
        for (sets, own) in [(1, 1), (128, 1), (256, 1), (1_024, 4), (16_384, 64), (65_536, 64)] {
            let all: HashSet<u32> = FlowIdentity::of(&KEY, &TUPLE).accepted_sets(sets).collect();
            assert_eq!(all.len(), own, "of {sets}");
            assert!(all.iter().all(|&set| set < sets), "of {sets}");
        }
    }

    #[test]
    fn flows_of_an_address_lie_in_its_own_sets() {
        for sets in [1, 256, 1024, 65_536] {
            for remote_port in 0..1_000 {
                let identity = FlowIdentity::of(&KEY, &FiveTuple { remote_port, ..TUPLE });
                let set = identity.accepted_set(sets);
                assert!(identity.accepted_sets(sets).any(|own| own == set), "{set} of {sets}");
            }
        }
    }
}
