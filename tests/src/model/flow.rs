//! TCP connections that were accepted under a grant.

use super::parser::Segment;
use super::rules::FlowLives;
use crate::packet::numbers;
use std::collections::HashMap;
use std::net::IpAddr;

/// A packet renews its flow only where that moves the end by this much, or by such a share of the life if that is less.
const RENEWAL_STEP_MS: u64 = 1024;
const RENEWAL_SHARE: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiveTuple {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// Only the client's SYN has been seen.
    HalfOpen,
    Established,
    /// A FIN or RST has been seen, and no payload since.
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub state: FlowState,
    /// Live before this time.
    pub deadline_ms: u64,
    /// The sequence number of the SYN.
    pub sequence: u32,
    /// The door whose grant lent the connection a token that is not spent yet.
    pub(super) lender: Option<usize>,
}

pub(super) type Flows = HashMap<FiveTuple, Flow>;

impl FiveTuple {
    pub(super) fn of(packet: &Segment) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            source_port: packet.source_port,
            destination_port: packet.port.number,
        }
    }
}

impl Flow {
    pub fn is_live(&self, now_ms: u64) -> bool {
        now_ms < self.deadline_ms
    }

    /// What the client's packet, no SYN without ACK, makes of a live flow.
    pub(super) fn follow(&mut self, lives: FlowLives, now_ms: u64, packet: &Segment) {
        let before = self.state;
        let ends = packet.flags & (numbers::FIN | numbers::RST) != 0;
        self.state = match self.state {
            _ if ends => FlowState::Closing,
            FlowState::Closing if packet.payload_length == 0 => FlowState::Closing,
            _ => FlowState::Established,
        };
        let life = if self.state == FlowState::Closing { lives.closing_ms } else { lives.established_ms };
        let deadline_ms = now_ms.saturating_add(life);
        let worth_it = RENEWAL_STEP_MS.min(life / RENEWAL_SHARE);
        if self.state != before || deadline_ms.abs_diff(self.deadline_ms) >= worth_it {
            self.deadline_ms = deadline_ms;
        }
    }
}

/// Records an accepted SYN. One on a live connection's five-tuple never shortens that connection's life: it may be
/// forged.
pub(super) fn record(
    flows: &mut Flows,
    lives: FlowLives,
    now_ms: u64,
    packet: &Segment,
    lender: Option<usize>,
) {
    let new = Flow {
        state: FlowState::HalfOpen,
        deadline_ms: now_ms.saturating_add(lives.half_open_ms),
        sequence: packet.sequence,
        lender,
    };
    flows
        .entry(FiveTuple::of(packet))
        .and_modify(|flow| {
            if flow.is_live(now_ms) && flow.state != FlowState::HalfOpen {
                flow.sequence = packet.sequence;
                flow.lender = lender;
            } else {
                *flow = new;
            }
        })
        .or_insert(new);
}
