//! Who is no stranger, whichever port it comes to.
//!
//! Where the text leaves room, the model reads it so: a flow makes its remote end a peer for as long as it is going to live
//! itself, from its recording or confirmation and from each renewal on; that it ends sooner takes nothing away.

use super::flow::{FiveTuple, FlowState};
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

/// A flow was begun, confirmed or renewed, and is in this state.
pub(super) fn note_peer(memory: &mut Memory, rules: &Rules, now_ms: u64, flow: &FiveTuple, state: FlowState) {
    let lives = &rules.flow_lives;
    let life_ms = match (state, flow.protocol) {
        (FlowState::HalfOpen, _) => lives.half_open_ms,
        (_, Protocol::Udp) => lives.udp_ms,
        (FlowState::Established, Protocol::Tcp) => lives.established_ms,
        (FlowState::Closing, Protocol::Tcp) => lives.closing_ms,
    };
    note(&mut memory.peers, now_ms, flow.remote, life_ms);
}
