//! Doors that open only if a command says so: the controller writes their grants, not the kernel program.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use knock_common::address::Address;
use knock_common::grant::{Change, GrantedBy};
use knock_common::rules::DoorId;
use knock_common::tables::TableFull;
use knock_common::time::{Boottime, Deadline};

use super::door_commands::request;
use super::doors::{Doors, is_stale};
use super::notice::Notice;
use super::watch::Watch;
use crate::clock::boottime;
use crate::commands::CommandKind;
use crate::config::OpenFor;
use crate::logging::DOORS;

impl Doors {
    pub(super) fn needs_approval(&self, door: DoorId) -> bool {
        self.config.get(&door).is_some_and(|door| door.commands.approve.is_some())
    }

    /// The sequence of a door is complete that opens only if its command says so. A source that knocks again meanwhile is asked
    /// about once.
    pub(super) fn ask(&mut self, source: Address, door: DoorId, time: Boottime, now: Boottime) {
        let name = self.name(door);
        if is_stale(time, now) {
            log::warn!(target: DOORS, "{source}: {name}: the sequence was completed while no controller ran; missed");
            return self.note_missed(source, &name);
        }
        let rule = self.config.get(&door);
        let Some(request) = rule.and_then(|rule| request(rule, CommandKind::Approve, source)) else {
            return;
        };
        if self.asking.insert((source, door)) && !self.submit(request) {
            self.asking.remove(&(source, door));
        }
    }

    /// The command has ended.
    pub(super) fn decided(&mut self, address: IpAddr, name: &str, approved: bool) {
        let door = self.config.iter().find(|(_, door)| door.name.as_str() == name).map(|(id, _)| *id);
        let Some(door) = door else { return };
        let source = Address::from(address);
        self.asking.remove(&(source, door));
        if approved && self.needs_approval(door) {
            self.approved.push((source, door));
        } else {
            log::warn!(target: DOORS, "{source}: {name}: the sequence is complete, but not approved");
            self.notices.push(Notice::of("grant_refused", address, name).reason("not approved"));
        }
    }
}

impl Watch {
    /// Opens the doors whose commands have said so.
    pub(super) fn grant_approved(&mut self) -> Result<()> {
        for (source, door) in std::mem::take(&mut self.doors.approved) {
            let Some(rule) = self.doors.config.get(&door) else { continue };
            let now = boottime();
            if rule.opens.is_nothing() {
                self.doors.open_without_grant(source, door, now);
                continue;
            }
            let deadline = match rule.open_for {
                OpenFor::For(duration) => Deadline::at(now.plus_nanoseconds(nanoseconds(duration))),
                OpenFor::Forever => Deadline::FOREVER,
            };
            let connections = rule.connections;
            let change =
                self.maps.grant_door(&source, door, connections, GrantedBy::Approve, deadline, now)?;
            match change {
                Ok(Change::Opened(deadline)) => self.doors.note_grant(source, door, deadline, Some(now)),
                Ok(Change::Extended { deadline, .. }) => self.doors.refreshed(source, door, deadline),
                Ok(Change::Full) => self.refuse_grant(source, door, "this source holds 8 grants already"),
                Err(TableFull) => {
                    self.refuse_grant(source, door, "the table of grants is full; raise limits.grants");
                }
            }
        }
        Ok(())
    }

    /// The sequence is complete, and there is no room for the grant.
    pub(super) fn refuse_grant(&self, source: Address, door: DoorId, reason: &str) {
        let name = self.doors.name(door);
        log::warn!(target: DOORS, "{source}: {name}: the sequence is complete, but the grant is refused: {reason}");
        self.tell(Notice::of("grant_refused", source.to_ip(), &name).reason(reason));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
