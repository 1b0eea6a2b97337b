//! What the kernel program has opened and closed, and what time has ended.

use std::collections::HashSet;

use anyhow::Result;
use knock_common::address::Address;
use knock_common::event::{Event, EventKind, Refusal};
use knock_common::grant::Granted;
use knock_common::rules::DoorId;
use knock_common::time::{Boottime, Deadline};

use super::completions;
use super::notice::Notice;
use super::watch::{RECONCILE_EVERY, Watch};
use crate::clock::boottime;
use crate::logging::DOORS;

/// A grant older than this was opened under an earlier controller.
const FRESH_SECONDS: u32 = 10;

impl Watch {
    pub(super) fn read_completions(&mut self) -> Result<()> {
        let batch = completions::read(&self.maps, &self.position)?;
        if batch.lost > 0 {
            log::warn!(target: DOORS, "{} completions were overwritten before they were read", batch.lost);
            self.tell(Notice::new("lost").count(batch.lost));
            self.looks = self.looks.next_multiple_of(RECONCILE_EVERY);
        }
        for event in &batch.events {
            self.complete(event)?;
        }
        if batch.position != self.position {
            // Nothing has begun yet, and what is to begin is in the journal: read again, it is known.
            batch.position.save(&self.directory)?;
            self.position = batch.position;
            self.follow_one_time()?;
        }
        Ok(())
    }

    fn complete(&mut self, event: &Event) -> Result<()> {
        let (source, door) = (event.source, event.door);
        let time = Boottime::from_nanoseconds(event.time);
        let deadline = Deadline::from_nanoseconds(event.deadline);
        match EventKind::from_number(event.kind) {
            Some(EventKind::Open) => {
                let deadline = (deadline != Deadline::PASSED).then_some(deadline);
                self.close_if_over(source, door, time)?;
                self.doors.completed(source, door, time, deadline, boottime());
            }
            Some(EventKind::Refresh) => self.doors.refreshed(source, door, deadline),
            Some(EventKind::Close) => {
                // It may have been opened again since.
                if self.valid_grant(source, door, boottime())?.is_none() {
                    self.doors.close(source, door, "close");
                }
            }
            Some(EventKind::GrantRefused) => {
                let reason = match event.detail {
                    detail if detail == Refusal::SourceFull as u32 => "this source holds 8 grants already",
                    _ => "the table of grants is full; raise limits.grants",
                };
                self.refuse_grant(source, door, reason);
            }
            Some(EventKind::Stage | EventKind::SourceHeld | EventKind::Dropped) | None => {}
        }
        Ok(())
    }

    /// A door that opens although it is open by what is known here was closed in between.
    fn close_if_over(&mut self, source: Address, door: DoorId, now: Boottime) -> Result<()> {
        if self.doors.due(now).contains(&(source, door)) {
            self.doors.close(source, door, "expire");
        }
        Ok(())
    }

    /// Holds the open doors against the table of grants, which is the truth.
    pub(super) fn reconcile(&mut self) -> Result<()> {
        let now = boottime();
        let mut granted = HashSet::new();
        for grants in self.maps.all_grants()? {
            for grant in grants.all().iter().filter(|grant| !grant.passed(now)) {
                let Granted::Door(door) = grant.granted() else {
                    continue;
                };
                granted.insert((grants.source(), door));
                let age = now.seconds().saturating_sub(grant.granted_at());
                // What is there at the first look and was not among the completions, an earlier controller has dealt with.
                let fresh = (age <= FRESH_SECONDS && self.looks > 0).then_some(now);
                self.doors.note_grant(grants.source(), door, grant.deadline(), fresh);
            }
        }
        for (source, door) in self.doors.granted() {
            if !granted.contains(&(source, door)) {
                let event = if self.doors.due(now).contains(&(source, door)) { "expire" } else { "close" };
                self.doors.close(source, door, event);
            }
        }
        Ok(())
    }

    fn valid_grant(&self, source: Address, door: DoorId, now: Boottime) -> Result<Option<Deadline>> {
        let Some(grants) = self.maps.grants_of(&source)? else {
            return Ok(None);
        };
        let grant = grants.all().iter().find(|grant| grant.granted() == Granted::Door(door));
        Ok(grant.map(|grant| grant.deadline()).filter(|deadline| !deadline.passed(now)))
    }

    /// Closes what is due, unless the table of grants says that it was extended.
    pub(super) fn close_due(&mut self) -> Result<()> {
        let now = boottime();
        for (source, door) in self.doors.due(now) {
            match self.valid_grant(source, door, now)? {
                Some(deadline) => self.doors.extend(source, door, deadline),
                None => self.doors.close(source, door, "expire"),
            }
        }
        Ok(())
    }
}
