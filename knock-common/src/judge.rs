//! What happens to a packet: the rules in their order, the first that applies decides.

use core::num::NonZero;

use crate::access::{is_known, is_trusted, passes_as_granted};
use crate::address::Address;
use crate::evenness;
use crate::flow::{Eviction, FiveTuple, FlowKind};
use crate::matcher;
use crate::packet::{Content, Icmp, NoPacket, Packet, Segment};
use crate::port::Protocol;
use crate::reason::{Reason, Verdict};
use crate::rules::{DoorId, PortEntry, RuleOption};
use crate::scanner;
use crate::source::SourceIdentity;
use crate::tables::Tables;
use crate::tracking::{arriving, could_be_of_flow, note_for, passes_as_flow};

/// Decides about what a frame holds, and changes the tables as it calls for. What [`Judgement::completed`] names is to be
/// opened by [`crate::completion::complete`] afterwards.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, parsed: Result<&Packet, NoPacket>) -> Judgement {
    let mut completed = None;
    let decided = match parsed {
        Err(NoPacket::NotIp) => Reason::NotIp,
        Err(NoPacket::Malformed(destination)) if is_for_others(tables, &destination) => Reason::NotOurs,
        Err(NoPacket::Malformed(_)) => Reason::Malformed,
        Ok(packet) if is_for_others(tables, &packet.destination) => Reason::NotOurs,
        Ok(packet) => match packet.content() {
            Content::Segment(segment) => judge_segment(tables, packet, segment, &mut completed),
            Content::LaterFragment => judge_fragment(tables, packet),
            Content::Icmp(about) => judge_icmp(tables, about),
            Content::Other(protocol) => judge_protocol(tables, packet, protocol),
        },
    };
    Judgement { decided, enforced: tables.rules().has(RuleOption::Enforce), completed }
}

/// Whether only packets to certain addresses are filtered, and this is not one of them.
#[inline(always)]
fn is_for_others<T: Tables>(tables: &T, destination: &Address) -> bool {
    tables.rules().has(RuleOption::Destinations)
        && *destination != Address::UNSPECIFIED
        && !tables.is_destination(destination)
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
fn judge_icmp<T: Tables>(tables: &T, about: Icmp) -> Reason {
    let rules = tables.rules();
    let asks = !matches!(about, Icmp::Other);
    if asks && rules.has(RuleOption::Drop) && rules.has(RuleOption::NoPing) {
        return Reason::PolicyDrop;
    }
    Reason::Icmp
}

#[inline(always)]
fn judge_protocol<T: Tables>(tables: &T, packet: &Packet, protocol: u8) -> Reason {
    /// Membership of multicast groups, over IPv4 (RFC 3376); IPv6 has ICMPv6 for that.
    const IGMP: u8 = 2;

    let rules = tables.rules();
    let is_igmp = protocol == IGMP && packet.source.is_mapped();
    if rules.has(RuleOption::Drop) && !is_igmp && !rules.lists_protocol(protocol) {
        return Reason::PolicyDrop;
    }
    Reason::OtherProtocol
}

/// A later fragment comes to nothing without its first. But a flood of them keeps reassembly from everybody else's, so that
/// under `policy = "drop"` strangers' pass at a bounded rate.
#[inline(always)]
fn judge_fragment<T: Tables>(tables: &T, packet: &Packet) -> Reason {
    let limited = tables.rules().has(RuleOption::Drop) && !is_known(tables, &packet.source);
    if limited && !tables.may_pass_fragment() { Reason::FragmentLimit } else { Reason::Fragment }
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
        let held = scanner::is_held_from_public(tables, &packet.source);
        return if held { Reason::Held } else { Reason::Public };
    }
    if entry.is(PortEntry::DHCP_CLIENT) && is_of_dhcp_server(packet, segment) {
        return Reason::Public;
    }
    let is_probe = evenness::begin(tables, segment, entry);
    // Elsewhere a flow passes anyway, so that it is not looked for.
    let is_ruled = entry.is(PortEntry::CLOSED | PortEntry::KNOCK);
    if (is_ruled || is_probe) && could_be_of_flow(segment) && passes_as_flow(tables, packet, segment) {
        if is_ruled {
            return Reason::Flow;
        }
        evenness::end(tables);
    }
    let hit = matcher::hit(tables, packet, segment, entry);
    // What was learnt of the entry would part the ways through all that follows.
    let entry = PortEntry::from_bits(tables.unfollowed(entry.bits() as u64) as u32);
    let is_closed = entry.is(PortEntry::CLOSED);
    let concerns_attempts = matcher::concerns_attempts(tables, segment, entry, &hit);
    // So would why it does, and how far the source has come.
    let concerns_attempts = tables.unfollowed(concerns_attempts.into()) != 0;
    if concerns_attempts || is_closed {
        let source = SourceIdentity::of(tables.hash_key(), &packet.source);
        let door =
            if concerns_attempts { matcher::observe(tables, packet, entry, &hit, source) } else { None };
        *completed = NonZero::new(tables.unfollowed(door.map_or(0, NonZero::get) as u64) as DoorId);
        if is_closed && is_trusted(tables, &packet.source, entry) {
            return Reason::Trusted;
        }
        if is_closed && tables.may_hold_grants(source) && passes_as_granted(tables, packet, segment, entry) {
            return Reason::Granted;
        }
    }
    let reason = match hit {
        _ if is_closed => refuse(tables, packet, segment, entry),
        Some(_) => Reason::Knock,
        None => Reason::Unlisted,
    };
    if tables.rules().has(RuleOption::Scanners) {
        return scanner::hold(tables, packet, segment, reason);
    }
    reason
}

/// Why a packet to a closed port is dropped. Where it is not in fact, the answer to it must not count as something that this
/// machine begins.
#[inline(always)]
fn refuse<T: Tables>(tables: &T, packet: &Packet, segment: &Segment, entry: PortEntry) -> Reason {
    if !tables.rules().has(RuleOption::Enforce)
        && matches!(segment.protocol, Protocol::Udp)
        && tables.has_listener(Protocol::Udp, segment.destination_port)
    {
        let unasked = FiveTuple { kind: FlowKind::Unasked, ..arriving(packet, segment) };
        note_for(tables, &unasked, tables.rules().flow_udp, Eviction::FirstToEnd);
    }
    if entry.is(PortEntry::PROTECTED) { Reason::NoGrant } else { Reason::PolicyDrop }
}

/// Whether the datagram, sent to a DHCP client's port, is from a server's (RFC 2131, RFC 8415).
#[inline(always)]
fn is_of_dhcp_server(packet: &Packet, segment: &Segment) -> bool {
    if packet.source.is_mapped() {
        segment.source_port == 67 && segment.destination_port == 68
    } else {
        segment.source_port == 547 && segment.destination_port == 546 && packet.source.is_link_local()
    }
}
