//! Doors that open only if a command says so: whom it is asked about, and what it said.

use std::net::IpAddr;

use knock_common::address::Address;
use knock_common::rules::DoorId;
use knock_common::time::Boottime;

use super::commands::request;
use super::{Doors, is_stale};
use crate::commands::CommandKind;
use crate::controller::notice::Notice;
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

    /// Whom commands have approved since the last call.
    pub(in crate::controller) fn take_approved(&mut self) -> Vec<(Address, DoorId)> {
        std::mem::take(&mut self.approved)
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
