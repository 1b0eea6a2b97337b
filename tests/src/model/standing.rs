//! Who is no stranger, whichever port it comes to.
//!
//! Where the text leaves room, the model reads it so: a flow makes its remote end a peer for as long as an established flow
//! of its protocol lives, from its recording or confirmation and from each renewal on; that it ends sooner takes nothing away.

use super::flow::FiveTuple;
use super::note::{is_noted, note};
use super::rules::{Protocol, Rules};
use super::{Grant, Memory};
use std::net::IpAddr;

/// Whether a source is trusted for any port, holds any valid grant or is a peer: never held, and its fragments pass
/// without limit.
pub(super) fn is_known(memory: &Memory, rules: &Rules, now_ms: u64, source: IpAddr) -> bool {
    let mut granted = memory.grants.get(&source).into_iter().flatten();
    rules.is_trusted_somewhere(source)
        || granted.any(|grant: &Grant| grant.is_valid(now_ms))
        || is_noted(&memory.peers, now_ms, &source)
}

/// A flow was begun, confirmed or renewed.
pub(super) fn note_peer(memory: &mut Memory, rules: &Rules, now_ms: u64, flow: &FiveTuple) {
    let life_ms = match flow.protocol {
        Protocol::Tcp => rules.flow_lives.established_ms,
        Protocol::Udp => rules.flow_lives.udp_ms,
    };
    note(&mut memory.peers, now_ms, flow.remote, life_ms);
}
