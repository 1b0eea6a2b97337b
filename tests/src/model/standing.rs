//! Who is no stranger, whichever port it comes to.

use super::flow::FlowState;
use super::rules::Rules;
use super::{Grant, Memory};
use std::net::IpAddr;

/// Whether a source is trusted for any port, holds any valid grant or is a peer: never held, and its fragments pass
/// without limit.
pub(super) fn is_known(memory: &Memory, rules: &Rules, now_ms: u64, source: IpAddr) -> bool {
    let mut granted = memory.grants.get(&source).into_iter().flatten();
    rules.is_trusted_somewhere(source)
        || granted.any(|grant: &Grant| grant.is_valid(now_ms))
        || is_peer(memory, now_ms, source)
}

/// Whether there is a live flow with this address, accepted and confirmed or begun here, or it was sent an echo request
/// lately.
fn is_peer(memory: &Memory, now_ms: u64, source: IpAddr) -> bool {
    let mut accepted = memory.accepted.iter().filter(|(_, flow)| flow.state != FlowState::HalfOpen);
    let mut outgoing = memory.outgoing.iter();
    accepted.any(|(key, flow)| key.remote == source && flow.is_live(now_ms))
        || outgoing.any(|(key, flow)| key.remote == source && flow.is_live(now_ms))
        || memory.pinged.get(&source).is_some_and(|until_ms| now_ms < *until_ms)
}
