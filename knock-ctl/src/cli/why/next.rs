//! A packet that never came, before the core.

use std::net::IpAddr;

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use knock_common::address::Address;
use knock_common::flow::{FiveTuple, FlowKind};
use knock_common::matcher::attempt_of;
use knock_common::port::{Port, Protocol};
use knock_common::source::SourceIdentity;
use knock_common::tables::Tables;

use super::ports::Probe;
use super::report::NextReport;
use crate::cli::door_or_port::Doors;
use crate::clock::boottime;
use crate::datapath::Maps;
use crate::replay::{Effect, effects};
use crate::rules::MemoryTables;

/// Of the packet; no client is likelier to have it than any other.
const SOURCE_PORT: u16 = 61_007;
const SEQUENCE_NUMBER: u32 = 0x5eed_0001;

/// Judges packets of one source by a copy of what the maps hold.
pub(super) struct Judge<'a> {
    pub(super) maps: &'a Maps,
    pub(super) tables: MemoryTables,
    pub(super) source: IpAddr,
    pub(super) to: IpAddr,
    pub(super) hop_limit: u8,
    pub(super) doors: &'a Doors<'a>,
}

impl Judge<'_> {
    /// What would become of a packet if it were the next one.
    pub(super) fn next(&mut self, probe: Probe) -> Result<NextReport> {
        let source = Address::from(self.source);
        let tuple = FiveTuple {
            remote: source,
            local: Address::from(self.to),
            remote_port: SOURCE_PORT,
            local_port: probe.port.number.get(),
            kind: FlowKind::of(probe.port.protocol),
        };
        self.maps.copy_for(&mut self.tables, &tuple, probe.port.protocol)?;
        let under_way = self.has_attempt(&source);
        let frame = self.frame(probe.port)?;
        let judgement = self.tables.judge(frame.as_slice(), boottime());
        let mut effects = effects(&self.tables.take_events(), |door| self.doors.door_name(door));
        if under_way && !self.has_attempt(&source) {
            effects.push(Effect::Reset);
        }
        Ok(NextReport::new(probe.label, &judgement, &effects))
    }

    fn has_attempt(&self, source: &Address) -> bool {
        let identity = SourceIdentity::of(self.tables.hash_key(), source);
        attempt_of(&self.tables, identity).exists()
    }

    fn frame(&self, port: Port) -> Result<Vec<u8>> {
        let ethernet = PacketBuilder::ethernet2([0; 6], [0; 6]);
        let ip = match (self.source, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), self.hop_limit),
            (from, to) => {
                let octets = |address: IpAddr| Address::from(address).octets();
                ethernet.ipv6(octets(from), octets(to), self.hop_limit)
            }
        };
        let mut frame = Vec::new();
        match port.protocol {
            Protocol::Tcp => {
                ip.tcp(SOURCE_PORT, port.number.get(), SEQUENCE_NUMBER, 1024).syn().write(&mut frame, &[])
            }
            Protocol::Udp => ip.udp(SOURCE_PORT, port.number.get()).write(&mut frame, &[]),
        }
        .context("cannot make a packet to judge")?;
        Ok(frame)
    }
}
