//! Doors that open only if a command says so: the controller writes their grants, not the kernel program.

use std::time::Duration;

use anyhow::Result;
use knock_common::address::Address;
use knock_common::grant::{Change, GrantedBy};
use knock_common::rules::DoorId;
use knock_common::tables::TableFull;
use knock_common::time::Deadline;

use super::notice::Notice;
use super::watch::Watch;
use crate::clock::boottime;
use crate::config::OpenFor;
use crate::logging::DOORS;

impl Watch {
    /// Opens the doors whose commands have said so.
    pub(super) fn grant_approved(&mut self) -> Result<()> {
        for (source, door) in self.doors.take_approved() {
            let Some(rule) = self.doors.rule(door) else { continue };
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
