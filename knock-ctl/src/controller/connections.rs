//! Connections that exist on this host, put into the flow tables so that the filter does not cut them.

use std::collections::HashSet;

use knock_common::flow::{FiveTuple, FlowKind, Phase};
use knock_common::port::{Port, Protocol};
use knock_common::rules::{PortEntry, Rules, port_index};

use crate::clock::boottime;
use crate::datapath::{Begun, DatapathError, Maps};
use crate::rules::Compiled;
use crate::sockets::{self, Connection, SocketsError};

/// Ports that are closed to strangers.
#[derive(Clone, Debug)]
pub(super) struct ClosedPorts(HashSet<(Protocol, u16)>);

impl ClosedPorts {
    pub(super) fn of(compiled: &Compiled) -> Self {
        let is_closed = |&(protocol, number): &(Protocol, u16)| {
            let entry = compiled.ports[port_index(0, protocol, number) as usize];
            entry.is(PortEntry::CLOSED) && !entry.is(PortEntry::PUBLIC)
        };
        let both = [Protocol::Tcp, Protocol::Udp].into_iter();
        let all = both.flat_map(|protocol| (1..=u16::MAX).map(move |number| (protocol, number)));
        Self(all.filter(is_closed).collect())
    }
}

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Imported {
    pub(super) recorded: usize,
    /// For want of room.
    pub(super) left_out: usize,
}

impl Imported {
    /// With what a later import of much the same connections came to.
    pub(super) fn and(self, later: Self) -> Self {
        Self { recorded: self.recorded.max(later.recorded), left_out: later.left_out }
    }
}

/// Records every connection by way of a closed port, of this host's sockets and of its connection tracking.
pub(super) fn import(maps: &Maps, ports: &ClosedPorts, rules: &Rules) -> Result<Imported, DatapathError> {
    let mut flows = own_flows();
    let half_open = or_none(sockets::half_open());
    flows
        .extend(half_open.into_iter().map(|ends| ExistingFlow::tcp(Begun::Elsewhere, Phase::HalfOpen, ends)));
    match sockets::conntrack() {
        Ok(tracked) => flows.extend(tracked.iter().flat_map(|tracked| {
            let phase = if tracked.half_open { Phase::HalfOpen } else { Phase::Established };
            [
                ExistingFlow::tcp(Begun::Elsewhere, phase, tracked.original),
                ExistingFlow::tcp(Begun::Here, phase, tracked.reply),
            ]
        })),
        Err(error) => log::warn!("connections that are forwarded here are not known: {error}"),
    }
    record(maps, ports, rules, &flows)
}

/// Renews the flows of connections whose sockets exist: they are not ended by time.
pub(super) fn renew(maps: &Maps, ports: &ClosedPorts, rules: &Rules) -> Result<(), DatapathError> {
    let flows = own_flows().into_iter().filter(|flow| flow.kind == FlowKind::Tcp).collect();
    record(maps, ports, rules, &flows).map(|_| ())
}

/// A connection that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ExistingFlow {
    kind: FlowKind,
    begun: Begun,
    phase: Phase,
    ends: Connection,
}

impl ExistingFlow {
    fn tcp(begun: Begun, phase: Phase, ends: Connection) -> Self {
        Self { kind: FlowKind::Tcp, begun, phase, ends }
    }
}

fn own_flows() -> HashSet<ExistingFlow> {
    let listeners: HashSet<Port> = or_none(sockets::listeners()).into_iter().collect();
    // Whoever connects from a port doesn't listen on it.
    let begun = |protocol, ends: &Connection| match Port::new(protocol, ends.local.1) {
        Some(port) if listeners.contains(&port) => Begun::Elsewhere,
        _ => Begun::Here,
    };
    let connections = or_none(sockets::established())
        .into_iter()
        .map(|ends| ExistingFlow::tcp(begun(Protocol::Tcp, &ends), Phase::Established, ends));
    let datagrams = or_none(sockets::connected_datagrams()).into_iter().map(|ends| {
        let begun = begun(Protocol::Udp, &ends);
        ExistingFlow { kind: FlowKind::Udp, begun, phase: Phase::Established, ends }
    });
    connections.chain(datagrams).collect()
}

fn or_none<T>(found: Result<Vec<T>, SocketsError>) -> Vec<T> {
    found.unwrap_or_else(|error| {
        log::warn!("connections of this host are not known: {error}");
        Vec::new()
    })
}

fn record(
    maps: &Maps,
    ports: &ClosedPorts,
    rules: &Rules,
    flows: &HashSet<ExistingFlow>,
) -> Result<Imported, DatapathError> {
    let now = boottime();
    let mut imported = Imported::default();
    for ExistingFlow { kind, begun, phase, ends } in flows {
        let protocol = if *kind == FlowKind::Udp { Protocol::Udp } else { Protocol::Tcp };
        if !ports.0.contains(&(protocol, ends.local.1)) {
            continue;
        }
        let tuple = FiveTuple {
            remote: ends.remote.0,
            local: ends.local.0,
            remote_port: ends.remote.1,
            local_port: ends.local.1,
            kind: *kind,
        };
        if maps.record_connection(&tuple, *begun, *phase, now, &rules.lives(*kind))? {
            imported.recorded += 1;
        } else {
            imported.left_out += 1;
        }
    }
    Ok(imported)
}
