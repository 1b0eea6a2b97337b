//! Rules 7 to 11: what becomes of a TCP or UDP packet.

use super::parser::Segment;
use super::rules::{Established, Policy, Port, Rules};
use super::{Memory, accepted, attempt, outgoing};
use std::net::IpAddr;

/// The reason of a packet, as if nobody were held.
pub(super) fn reason(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) -> &'static str {
    let port = packet.port;
    if rules.is_public(port) || (rules.policy == Policy::Drop && is_dhcp_answer(packet)) {
        return "public";
    }
    let closed = rules.is_closed(port);
    if (closed || rules.is_knock_port(port)) && is_of_flow(memory, rules, now_ms, packet) {
        return "flow";
    }
    match closed {
        false if attempt::is_hit(rules, packet) => "knock",
        false => "unlisted",
        true if rules.is_trusted(packet.source, port) => "trusted",
        true if accepted::is_granted(memory, rules, now_ms, packet) => "granted",
        true if rules.is_protected(port) => "no_grant",
        true => "policy_drop",
    }
}

/// Accepted connections end with their grant where they are cut; those that this machine began never do.
fn is_of_flow(memory: &mut Memory, rules: &Rules, now_ms: u64, packet: &Segment) -> bool {
    let is_accepted = accepted::arrives(memory, rules, now_ms, packet);
    is_accepted && rules.established == Established::Keep || outgoing::arrives(memory, rules, now_ms, packet)
}

/// From a DHCP server: the client asks by broadcast, so no flow tells whose answer it is.
fn is_dhcp_answer(packet: &Segment) -> bool {
    let (server, client) = match packet.source {
        IpAddr::V4(_) => (67, Port::udp(68)),
        IpAddr::V6(source) if source.is_unicast_link_local() => (547, Port::udp(546)),
        IpAddr::V6(_) => return false,
    };
    packet.port == client && packet.source_port == server
}
