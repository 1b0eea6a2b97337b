//! Connections that this host forwards or translates, by the kernel's connection tracking.

use std::net::IpAddr;
use std::path::Path;

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Protocol, Tuple,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::{Connection, SocketsError};
use crate::netlink::{Scope, ask};

/// A tracked TCP connection, with the packets of either side as they look when they arrive here: before DNAT, and for
/// answers to translated packets before that translation is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackedConnection {
    /// Packets of the side that began it.
    pub original: Connection,
    /// Packets of the side that answers.
    pub reply: Connection,
    /// Whether the answer to its SYN has not been acknowledged yet.
    pub half_open: bool,
}

/// There exactly where nf_conntrack is loaded. Asking over netlink instead would load it.
const LOADED: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// Every tracked TCP connection, from SYN-RECEIVED on and up to TIME-WAIT, each once, in order; none where
/// nf_conntrack is not loaded.
pub fn conntrack() -> Result<Vec<TrackedConnection>, SocketsError> {
    if !Path::new(LOADED).exists() {
        return Ok(Vec::new());
    }
    let request = NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0),
        ConntrackMessage::Get(Vec::new()),
    );
    let replies: Vec<Entry> = ask(NETLINK_NETFILTER, Scope::All, request).map_err(SocketsError::Conntrack)?;
    let mut connections: Vec<TrackedConnection> = replies.into_iter().filter_map(|entry| entry.0).collect();
    connections.sort_unstable();
    connections.dedup();
    Ok(connections)
}

/// One entry of the table, `None` for what is no live TCP connection.
struct Entry(Option<TrackedConnection>);

impl NetlinkDeserializable for Entry {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let message = NetfilterMessage::deserialize(header, payload)?;
        Ok(Self(match message.inner {
            NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) => live_tcp(&attributes),
            _ => None,
        }))
    }
}

fn live_tcp(attributes: &[ConntrackAttribute]) -> Option<TrackedConnection> {
    let (mut original, mut reply, mut state) = (None, None, None);
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(tuple) => original = tcp_connection(tuple),
            ConntrackAttribute::CtaTupleReply(tuple) => reply = tcp_connection(tuple),
            ConntrackAttribute::CtaProtoInfo(infos) => state = infos.iter().find_map(tcp_state),
            _ => {}
        }
    }
    let half_open = match state? {
        SYN_RECV => true,
        ESTABLISHED..=LAST_ACK => false,
        _ => return None,
    };
    Some(TrackedConnection { original: original?, reply: reply?, half_open })
}

// States of a TCP connection (linux/netfilter/nf_conntrack_tcp.h); FIN_WAIT and CLOSE_WAIT lie between the last two.
const SYN_RECV: u8 = 2;
const ESTABLISHED: u8 = 3;
const LAST_ACK: u8 = 6;

fn tcp_state(info: &ProtoInfo) -> Option<u8> {
    let ProtoInfo::TCP(attributes) = info else { return None };
    attributes.iter().find_map(|attribute| match attribute {
        ProtoInfoTCP::State(state) => Some(*state),
        _ => None,
    })
}

fn tcp_connection(tuple: &[Tuple]) -> Option<Connection> {
    let mut addresses: (Option<IpAddr>, Option<IpAddr>) = (None, None);
    let mut ports = (None, None);
    let mut tcp = false;
    for part in tuple {
        match part {
            Tuple::Ip(parts) => {
                for part in parts {
                    match part {
                        IPTuple::SourceAddress(address) => addresses.0 = Some(*address),
                        IPTuple::DestinationAddress(address) => addresses.1 = Some(*address),
                        _ => {}
                    }
                }
            }
            Tuple::Proto(parts) => {
                for part in parts {
                    match part {
                        ProtoTuple::Protocol(protocol) => tcp = *protocol == Protocol::Tcp,
                        ProtoTuple::SourcePort(port) => ports.0 = Some(*port),
                        ProtoTuple::DestinationPort(port) => ports.1 = Some(*port),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if !tcp {
        return None;
    }
    Some(Connection { remote: (addresses.0?.into(), ports.0?), local: (addresses.1?.into(), ports.1?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(protocol: Protocol, source: (&str, u16), destination: (&str, u16)) -> Vec<Tuple> {
        vec![
            Tuple::Ip(vec![
                IPTuple::SourceAddress(source.0.parse().unwrap()),
                IPTuple::DestinationAddress(destination.0.parse().unwrap()),
            ]),
            Tuple::Proto(vec![
                ProtoTuple::Protocol(protocol),
                ProtoTuple::SourcePort(source.1),
                ProtoTuple::DestinationPort(destination.1),
            ]),
        ]
    }

    /// A connection of 192.0.2.7 to 203.0.113.1:22, by DNAT sent on to 10.0.0.2:2222.
    fn entry(protocol: Protocol, state: u8) -> Option<TrackedConnection> {
        live_tcp(&[
            ConntrackAttribute::CtaTupleOrig(tuple(protocol, ("192.0.2.7", 4000), ("203.0.113.1", 22))),
            ConntrackAttribute::CtaTupleReply(tuple(protocol, ("10.0.0.2", 2222), ("192.0.2.7", 4000))),
            ConntrackAttribute::CtaProtoInfo(vec![ProtoInfo::TCP(vec![ProtoInfoTCP::State(state)])]),
        ])
    }

    fn end(address: &str, port: u16) -> (knock_common::address::Address, u16) {
        (address.parse::<IpAddr>().unwrap().into(), port)
    }

    #[test]
    fn a_translated_connection_is_given_as_it_arrives() {
        let original = Connection { local: end("203.0.113.1", 22), remote: end("192.0.2.7", 4000) };
        let reply = Connection { local: end("192.0.2.7", 4000), remote: end("10.0.0.2", 2222) };
        assert_eq!(entry(Protocol::Tcp, 3), Some(TrackedConnection { original, reply, half_open: false }));
    }

    #[test]
    fn only_live_tcp_connections_count() {
        let live: Vec<u8> = (0..=9).filter(|&state| entry(Protocol::Tcp, state).is_some()).collect();
        assert_eq!(live, [2, 3, 4, 5, 6]);
        assert!(entry(Protocol::Tcp, 2).unwrap().half_open);
        assert_eq!(entry(Protocol::Udp, 3), None);
    }
}
