//! Doors that an earlier controller left open.

use std::collections::HashMap;

use knock_common::rules::DoorId;
use knock_common::time::{Boottime, Deadline};

use super::commands::has_stop;
use super::{Doors, OpenDoor, is_stale};
use crate::clock::boottime;
use crate::journal::{OpenDoor as JournalledDoor, Opening, Record, StopDue};
use crate::logging::DOORS;

impl Doors {
    /// Takes up the doors that an earlier controller left open. `may_go_back`: to rules that may have doors that these have not.
    pub(in crate::controller) fn resume(&mut self, left_open: Vec<JournalledDoor>, may_go_back: bool) {
        let ids: HashMap<String, DoorId> =
            self.config.iter().map(|(id, door)| (door.name.to_string(), *id)).collect();
        for JournalledDoor { opening, unstarted, stop } in left_open {
            let Some(&door) = ids.get(&opening.door) else {
                if may_go_back {
                    continue;
                }
                log::warn!(
                    "{}: {}: the door is no more, and neither is its stop command",
                    opening.address,
                    opening.door
                );
                self.record(&[Record::Closed { opening }]);
                continue;
            };
            let key = (opening.address, door);
            // Opened again before the stop command of the opening before could begin: openings come in their order.
            if let Some(OpenDoor { opening: Some(before), .. }) = self.open.remove(&key) {
                self.stop(door, before);
            }
            if unstarted && !self.start_late(door, &opening) {
                self.record(&[Record::Closed { opening }]);
                continue;
            }
            let Some(rule) = self.config.get(&door).filter(|rule| has_stop(rule, opening.address)) else {
                continue;
            };
            let granted = !rule.opens.is_nothing();
            let deadline = match stop {
                StopDue::Now => {
                    self.stop(door, opening);
                    continue;
                }
                StopDue::At(nanoseconds) => Deadline::from_nanoseconds(nanoseconds),
                StopDue::WhenRevoked => Deadline::FOREVER,
            };
            self.open.insert(key, OpenDoor { deadline, granted, opening: Some(opening) });
        }
    }

    /// Runs the start command that the controller before could not begin any more. `false`: it is too late for that.
    fn start_late(&mut self, door: DoorId, opening: &Opening) -> bool {
        let (source, name) = (opening.address, &opening.door);
        if is_stale(Boottime::from_nanoseconds(opening.opened_at), boottime()) {
            log::warn!(
                target: DOORS,
                "{source}: {name}: opened as the controller ended; missed, its start command is not run"
            );
            self.note_missed(source, name);
            return false;
        }
        self.start(source, door, opening);
        true
    }
}
