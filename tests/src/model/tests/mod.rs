//! The rules, sentence by sentence, as the model understands it.

mod answers;
mod audit;
mod completion;
mod confirm;
mod flows;
mod fragments;
mod grants;
mod hop_limit;
mod outgoing;
mod policy;
mod repeats;
mod resets;
mod scanners;
mod sequences;
mod verdicts;

use super::*;
use crate::packet::Frame;
use crate::packet::numbers::*;
use std::net::Ipv4Addr;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const OTHER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));

const FIRST: Port = Port::tcp(7000);
const SECOND: Port = Port::udp(8000);
const THIRD: Port = Port::tcp(9000);
const SSH: Port = Port::tcp(22);

/// One door, 7000/tcp, 8000/udp, 9000/tcp, that opens 22/tcp.
fn one_door() -> Rules {
    Rules { doors: vec![ssh()], ..Rules::default() }
}

fn ssh() -> Door {
    Door::new(vec![FIRST, SECOND, THIRD], vec![SSH])
}

fn with_doors(doors: Vec<Door>) -> Rules {
    Rules { doors, ..Rules::default() }
}

/// One door, all else closed.
fn closed() -> Rules {
    Rules { policy: Policy::Drop, ..one_door() }
}

fn syn(from: (IpAddr, u16), to: (IpAddr, u16)) -> Frame {
    Frame::tcp(from.0, to.0).ports(from.1, to.1)
}

fn datagram(from: (IpAddr, u16), to: (IpAddr, u16)) -> Frame {
    Frame::udp(from.0, to.0).ports(from.1, to.1)
}

/// A model with a clock, and a client that uses a new source port and sequence number for each packet.
struct Host {
    model: Model,
    now_ms: u64,
    sent: u16,
}

impl Host {
    fn new(rules: Rules) -> Self {
        Self { model: Model::new(rules), now_ms: 1_000, sent: 0 }
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    fn send(&mut self, frame: &Frame) -> Outcome {
        self.model.packet(self.now_ms, &frame.build())
    }

    /// The host itself sends this.
    fn leave(&mut self, frame: &Frame) {
        self.model.leaving(self.now_ms, &frame.build());
    }

    /// A SYN or a datagram that has not been sent before.
    fn fresh(&mut self, port: Port) -> Frame {
        self.sent += 1;
        let ports = (40_000 + self.sent, port.number);
        match port.protocol {
            Protocol::Tcp => {
                Frame::tcp(CLIENT, SERVER).ports(ports.0, ports.1).sequence(u32::from(self.sent))
            }
            Protocol::Udp => Frame::udp(CLIENT, SERVER).ports(ports.0, ports.1),
        }
    }

    fn knock(&mut self, port: Port) -> Outcome {
        let frame = self.fresh(port);
        self.send(&frame)
    }

    /// Fresh knocks, without time passing; the last one's outcome.
    fn knocks(&mut self, ports: &[Port]) -> Outcome {
        let outcomes: Vec<_> = ports.iter().map(|&port| self.knock(port)).collect();
        outcomes.last().expect("at least one knock").clone()
    }

    /// A fresh knock on each port of a door; the outcome of the last.
    fn complete(&mut self, door: usize) -> Outcome {
        let sequence = self.model.rules().doors[door].sequence.clone();
        self.knocks(&sequence)
    }

    /// The doors that still fit, with their steps; empty without an attempt or after a completed one.
    fn alive(&self) -> Vec<(usize, usize)> {
        let attempt = self.model.attempt(self.now_ms, CLIENT).filter(|attempt| !attempt.completed);
        attempt.map_or_else(Vec::new, |attempt| attempt.doors)
    }

    fn deadline(&self, door: usize) -> Option<u64> {
        self.model.grants(self.now_ms).get(&(CLIENT, door)).map(|grant| grant.deadline_ms)
    }

    fn connections_used(&self, door: usize) -> u32 {
        self.model.grants(self.now_ms)[&(CLIENT, door)].connections_used(self.now_ms)
    }

    fn flow_states(&self) -> Vec<FlowState> {
        self.model.flows(self.now_ms).values().map(|flow| flow.state).collect()
    }

    fn outgoing_states(&self) -> Vec<FlowState> {
        self.model.outgoing(self.now_ms).values().map(|flow| flow.state).collect()
    }
}

/// Asserts verdict and reason of a packet that tells the controller nothing.
#[track_caller]
fn assert_quiet(outcome: &Outcome, pass: bool, reason: &'static str) {
    assert_eq!(outcome, &Outcome { pass, reason, events: Vec::new() });
}

#[track_caller]
fn assert_told(outcome: &Outcome, told: &[(EventKind, usize)]) {
    let events: Vec<_> = outcome.events.iter().map(|event| (event.kind, event.door)).collect();
    let told: Vec<_> = told.iter().map(|&(kind, door)| (kind, Some(door))).collect();
    assert_eq!(events, told);
    assert!(outcome.events.iter().all(|event| event.source == CLIENT));
}
