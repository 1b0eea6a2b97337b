//! ICMP's and ICMPv6's types (IANA, by way of ruling 26).

use super::rules::Rules;
use std::net::IpAddr;

/// Whether a packet that arrives passes under `policy = "drop"`: with `ping = false` neither echo requests and their
/// like do, nor what does not say its type.
pub(super) fn passes(rules: &Rules, source: IpAddr, kind: Option<u8>) -> bool {
    let requests: &[u8] = if source.is_ipv4() { &[8, 13, 15, 17] } else { &[128, 139] };
    rules.ping || kind.is_some_and(|kind| !requests.contains(&kind))
}

pub(super) fn is_echo_request(source: IpAddr, kind: Option<u8>) -> bool {
    kind == Some(if source.is_ipv4() { 8 } else { 128 })
}
