//! Connections: what tells them apart, and how long they live.

use super::parser::Segment;
use super::rules::{FlowLives, Protocol};
use crate::packet::numbers;
use std::collections::HashMap;
use std::net::IpAddr;

/// A packet renews its flow only where that moves the end by this much, or by such a share of the life if that is less.
const RENEWAL_STEP_MS: u64 = 1024;
const RENEWAL_SHARE: u64 = 16;

/// One connection, in whichever direction its packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiveTuple {
    pub protocol: Protocol,
    pub remote: IpAddr,
    pub remote_port: u16,
    pub local: IpAddr,
    pub local_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// Only one side has been heard.
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
    /// The sequence number of the SYN; 0 for UDP.
    pub sequence: u32,
    /// The door whose grant lent the connection a token that is not spent yet.
    pub(super) lender: Option<usize>,
}

pub(super) type Flows = HashMap<FiveTuple, Flow>;

impl FiveTuple {
    /// The connection of a packet that arrives here.
    pub(super) fn of_arriving(packet: &Segment) -> Self {
        Self {
            protocol: packet.port.protocol,
            remote: packet.source,
            remote_port: packet.source_port,
            local: packet.destination,
            local_port: packet.port.number,
        }
    }

    /// The connection of a packet that leaves.
    pub(super) fn of_leaving(packet: &Segment) -> Self {
        Self {
            protocol: packet.port.protocol,
            remote: packet.destination,
            remote_port: packet.port.number,
            local: packet.source,
            local_port: packet.source_port,
        }
    }
}

impl Flow {
    pub(super) fn half_open(lives: FlowLives, now_ms: u64, sequence: u32, lender: Option<usize>) -> Self {
        let deadline_ms = now_ms.saturating_add(lives.half_open_ms);
        Self { state: FlowState::HalfOpen, deadline_ms, sequence, lender }
    }

    pub fn is_live(&self, now_ms: u64) -> bool {
        now_ms < self.deadline_ms
    }

    /// What the other side's TCP packet, no SYN without ACK, makes of a live flow; whether that renews it.
    pub(super) fn follow(&mut self, lives: FlowLives, now_ms: u64, packet: &Segment) -> bool {
        let state = match self.state {
            _ if ends(packet) => FlowState::Closing,
            FlowState::Closing if packet.payload_length == 0 => FlowState::Closing,
            _ => FlowState::Established,
        };
        let life_ms = if state == FlowState::Closing { lives.closing_ms } else { lives.established_ms };
        self.live_on(now_ms, state, life_ms)
    }

    /// Enters or keeps a state in which it lives so long; whether that renews it.
    pub(super) fn live_on(&mut self, now_ms: u64, state: FlowState, life_ms: u64) -> bool {
        let deadline_ms = now_ms.saturating_add(life_ms);
        let renews = self.state != state || is_worth_it(deadline_ms.abs_diff(self.deadline_ms), life_ms);
        if renews {
            self.deadline_ms = deadline_ms;
        }
        self.state = state;
        renews
    }
}

/// Whether a life is renewed where that moves its end by so much.
pub(super) fn is_worth_it(moves_ms: u64, life_ms: u64) -> bool {
    moves_ms >= RENEWAL_STEP_MS.min(life_ms / RENEWAL_SHARE)
}

/// The flow of this five-tuple, if it is live.
pub(super) fn live<'a>(flows: &'a mut Flows, now_ms: u64, key: &FiveTuple) -> Option<&'a mut Flow> {
    flows.get_mut(key).filter(|flow| flow.is_live(now_ms))
}

/// A FIN or RST.
pub(super) fn ends(packet: &Segment) -> bool {
    packet.flags & (numbers::FIN | numbers::RST) != 0
}

/// Whether the other side says that it has heard this machine's SYN. A RST says that it has not asked for it.
pub(super) fn acknowledges(packet: &Segment) -> bool {
    packet.flags & numbers::ACK != 0 && packet.flags & (numbers::SYN | numbers::RST) == 0
}
