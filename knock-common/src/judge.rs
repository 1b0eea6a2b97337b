//! What happens to a packet: the rules in their order, the first that applies decides.

use core::num::NonZero;

use crate::access::{is_trusted, passes_as_granted};
use crate::matcher;
use crate::packet::{Content, NoPacket, Packet, Segment};
use crate::reason::{Reason, Verdict};
use crate::rules::{DoorId, PortEntry, RuleOption};
use crate::tables::Tables;
use crate::tracking::{could_be_of_flow, passes_as_flow};

/// Decides about what a frame holds, and changes the tables as it calls for. What [`Judgement::completed`] names is to be
/// opened by [`crate::completion::complete`] afterwards.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, parsed: Result<&Packet, NoPacket>) -> Judgement {
    let mut completed = None;
    let decided = match parsed {
        Err(NoPacket::NotIp) => Reason::NotIp,
        Err(NoPacket::Malformed) => Reason::Malformed,
        Ok(packet) => match packet.content() {
            Content::LaterFragment => Reason::Fragment,
            Content::Icmp => Reason::Icmp,
            Content::Other(_) => Reason::OtherProtocol,
            Content::Segment(segment) => judge_segment(tables, packet, segment, &mut completed),
        },
    };
    Judgement { decided, enforced: tables.rules().has(RuleOption::Enforce), completed }
}

/// What was decided, and whether it is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The rule that applied.
    pub decided: Reason,
    enforced: bool,
    /// The door whose sequence the packet completes: it is judged as if the grant did not exist yet.
    pub completed: Option<NonZero<DoorId>>,
}

impl Judgement {
    /// The reason that counts: what would be dropped but is not has a reason of its own.
    #[inline(always)]
    pub const fn reason(&self) -> Reason {
        match self.decided.verdict() {
            Verdict::Drop if !self.enforced => Reason::WouldDrop,
            _ => self.decided,
        }
    }
}

#[inline(always)]
fn judge_segment<T: Tables>(
    tables: &T,
    packet: &Packet,
    segment: &Segment,
    completed: &mut Option<NonZero<DoorId>>,
) -> Reason {
    let entry = tables.port(segment.protocol, segment.destination_port);
    if entry.is(PortEntry::PUBLIC) {
        return Reason::Public;
    }
    let protected = entry.is(PortEntry::PROTECTED);
    if protected && could_be_of_flow(segment) && passes_as_flow(tables, packet, segment) {
        return Reason::Flow;
    }
    let hit = matcher::hit(tables, packet, segment, entry);
    // What was learnt of the entry would part the ways through all that follows.
    let entry = PortEntry::from_bits(tables.unfollowed(entry.bits() as u64) as u32);
    let protected = entry.is(PortEntry::PROTECTED);
    if !segment.fragment {
        *completed = matcher::observe(tables, packet, segment, entry, hit);
    }
    if !protected {
        return if hit.is_some() { Reason::Knock } else { Reason::Unlisted };
    }
    if tables.rules().has(RuleOption::Trusted) && is_trusted(tables, packet, entry) {
        return Reason::Trusted;
    }
    if passes_as_granted(tables, packet, segment, entry) { Reason::Granted } else { Reason::NoGrant }
}
