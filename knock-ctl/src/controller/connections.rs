//! Connections that exist on this host, put into the flow table so that the filter does not cut them.

use std::collections::HashSet;

use knock_common::flow::{FiveTuple, FlowLives};
use knock_common::port::Protocol;
use knock_common::rules::{PortEntry, RuleOption, port_index};

use crate::clock::boottime;
use crate::datapath::{DatapathError, Maps};
use crate::rules::Compiled;
use crate::sockets::{self, Connection};

/// TCP ports that are closed to strangers.
#[derive(Clone, Debug)]
pub(super) struct ProtectedPorts(HashSet<u16>);

impl ProtectedPorts {
    pub(super) fn of(compiled: &Compiled) -> Self {
        let closed_unless_public = compiled.rules.has(RuleOption::Drop);
        let is_protected = |number: &u16| {
            let entry = compiled.ports[port_index(0, Protocol::Tcp, *number) as usize];
            (closed_unless_public || entry.is(PortEntry::PROTECTED)) && !entry.is(PortEntry::PUBLIC)
        };
        Self((1..=u16::MAX).filter(is_protected).collect())
    }
}

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Imported {
    pub(super) recorded: usize,
    /// For want of room.
    pub(super) left_out: usize,
}

/// Records every connection to a protected port, of this host's sockets and of its connection tracking.
pub(super) fn import(
    maps: &Maps,
    ports: &ProtectedPorts,
    lives: &FlowLives,
) -> Result<Imported, DatapathError> {
    let mut connections = own_connections();
    match sockets::conntrack() {
        Ok(tracked) => {
            connections.extend(tracked.iter().flat_map(|tracked| [tracked.original, tracked.reply]));
        }
        Err(error) => log::warn!("connections that are forwarded here are not known: {error}"),
    }
    record(maps, ports, lives, &connections)
}

/// Renews the flows of connections whose sockets exist: they are not ended by time.
pub(super) fn renew(maps: &Maps, ports: &ProtectedPorts, lives: &FlowLives) -> Result<(), DatapathError> {
    record(maps, ports, lives, &own_connections()).map(|_| ())
}

fn own_connections() -> HashSet<Connection> {
    match sockets::established() {
        Ok(connections) => connections.into_iter().collect(),
        Err(error) => {
            log::warn!("connections of this host are not known: {error}");
            HashSet::new()
        }
    }
}

fn record(
    maps: &Maps,
    ports: &ProtectedPorts,
    lives: &FlowLives,
    connections: &HashSet<Connection>,
) -> Result<Imported, DatapathError> {
    let now = boottime();
    let mut imported = Imported::default();
    for connection in connections.iter().filter(|connection| ports.0.contains(&connection.local.1)) {
        let tuple = FiveTuple {
            remote: connection.remote.0,
            local: connection.local.0,
            remote_port: connection.remote.1,
            local_port: connection.local.1,
        };
        if maps.record_connection(&tuple, now, lives)? {
            imported.recorded += 1;
        } else {
            imported.left_out += 1;
        }
    }
    Ok(imported)
}
