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
