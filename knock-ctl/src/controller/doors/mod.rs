//! Which doors are open for whom.

mod approval;
mod commands;
mod resumption;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use knock_common::address::Address;
use knock_common::rules::DoorId;
use knock_common::time::{Boottime, Deadline};

use crate::commands::{CommandRequest, CommandRunner};
use crate::config::{Config, Door};
use crate::journal::{Journal, Opening, Record};
use crate::logging::DOORS;
use crate::metrics::Counts;
use crate::rules::door_ids;

pub(super) use commands::command_limits;

use super::notice::Notice;
use commands::has_stop;

/// Completions that were not noticed for longer are not acted on: the source has long given up.
const STALE: Duration = Duration::from_secs(10);

/// A door that is open for a source.
#[derive(Clone, Debug)]
struct OpenDoor {
    /// When the grant ends, or, where there is none, when the stop command is due.
    deadline: Deadline,
    /// It has a grant, or had one: then the table of grants says how long it is open.
    granted: bool,
    /// Set where a stop command is due.
    opening: Option<Opening>,
}

/// All open doors. A door is open while it has a valid grant or a stop command due.
pub(super) struct Doors {
    config: HashMap<DoorId, Door>,
    /// Doors that the configuration has no more, but that may be open still; they are in `config` too.
    vanished: HashSet<DoorId>,
    open: BTreeMap<(Address, DoorId), OpenDoor>,
    journal: Journal,
    runner: CommandRunner,
    /// Stop commands that found no room in the queue.
    refused_stops: Vec<CommandRequest>,
    counts: Counts,
    /// Whom a command is being asked about, and whom one has approved.
    asking: HashSet<(Address, DoorId)>,
    approved: Vec<(Address, DoorId)>,
    notices: Vec<Notice>,
}

impl Doors {
    pub(super) fn new(config: &Config, journal: Journal, runner: CommandRunner, counts: Counts) -> Self {
        Self {
            config: by_id(config),
            vanished: HashSet::new(),
            open: BTreeMap::new(),
            journal,
            runner,
            refused_stops: Vec::new(),
            asking: HashSet::new(),
            approved: Vec::new(),
            counts,
            notices: Vec::new(),
        }
    }

    /// Goes on with another configuration. Doors that it does not have stay as they are until [`Doors::forget_vanished`].
    pub(super) fn reconfigure(&mut self, config: &Config) {
        self.runner.set_limits(command_limits(config));
        let before = std::mem::replace(&mut self.config, by_id(config));
        for (id, door) in before {
            // Two names may have had the same hash; then an identity can go from one door to another.
            if self.config.get(&id).is_none_or(|new| new.name != door.name) {
                self.config.entry(id).or_insert(door);
                self.vanished.insert(id);
            } else {
                self.vanished.remove(&id);
            }
        }
    }

    /// Whether the configuration has it no more.
    pub(super) fn has_vanished(&self, door: DoorId) -> bool {
        self.vanished.contains(&door)
    }

    /// Closes the doors that the configuration has no more, as they were when it had them.
    pub(super) fn forget_vanished(&mut self, config: &Config) {
        let open: Vec<_> = self.open.keys().copied().filter(|(_, door)| self.has_vanished(*door)).collect();
        for (source, door) in open {
            self.close(source, door, "close");
        }
        self.vanished.clear();
        self.config = by_id(config);
    }

    /// What happened since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    pub(super) fn rule(&self, door: DoorId) -> Option<&Door> {
        self.config.get(&door)
    }

    /// A door's name, for the log.
    pub(super) fn name(&self, door: DoorId) -> String {
        self.config.get(&door).map_or_else(|| format!("unknown-{door:08x}"), |door| door.name.to_string())
    }

    /// A sequence is complete: `deadline` is the grant's end, if there is a grant.
    pub(super) fn completed(
        &mut self,
        source: Address,
        door: DoorId,
        time: Boottime,
        deadline: Option<Deadline>,
        now: Boottime,
    ) {
        let name = self.name(door);
        if self.needs_approval(door) {
            return self.ask(source, door, time, now);
        }
        // A controller that was killed before it had noted how far it had read.
        if self.journal.knows(&self.journal.opening(source, &name, time.nanoseconds())) {
            return;
        }
        if self.stays_open(source, door, time, deadline) {
            return;
        }
        if is_stale(time, now) {
            log::warn!(
                target: DOORS,
                "{source}: {name}: opened while no controller ran; missed, its start command is not run"
            );
            self.note_missed(source, &name);
            if let Some(deadline) = deadline {
                self.open.insert((source, door), OpenDoor { deadline, granted: true, opening: None });
            }
            return;
        }
        self.open_now(source, door, time, deadline);
    }

    /// Whether the door was noticed before in the table of grants, or has no grant and a stop command that is still due.
    fn stays_open(
        &mut self,
        source: Address,
        door: DoorId,
        time: Boottime,
        deadline: Option<Deadline>,
    ) -> bool {
        let Some(open) = self.open.get(&(source, door)) else {
            return false;
        };
        let deadline = deadline.unwrap_or_else(|| self.stop_deadline(door, time));
        let later = open.deadline.later(deadline);
        self.extend(source, door, later);
        true
    }

    /// A door that opens no port of its own opens.
    pub(super) fn open_without_grant(&mut self, source: Address, door: DoorId, now: Boottime) {
        if !self.stays_open(source, door, now, None) {
            self.open_now(source, door, now, None);
        }
    }

    fn note_missed(&mut self, source: Address, name: &str) {
        let notice = Notice::of("lost", source.to_ip(), name).reason("the opening was noticed too late");
        self.notices.push(notice);
    }

    fn open_now(&mut self, source: Address, door: DoorId, time: Boottime, deadline: Option<Deadline>) {
        let name = self.name(door);
        log::info!(target: DOORS, "{source}: {name}: OPEN SESAME");
        self.notices.push(Notice::of("open", source.to_ip(), &name));
        let Some(rule) = self.config.get(&door).cloned() else {
            return;
        };
        let has_stop = has_stop(&rule, source);
        let has_start = rule.commands.start_for(&source.to_ip()).is_some();
        let until = deadline.unwrap_or_else(|| self.stop_deadline(door, time));
        let opening = self.journal.opening(source, &name, time.nanoseconds());
        if has_start || has_stop {
            let (opening, stop_due) = (opening.clone(), stop_due(until));
            self.record(&[Record::Opened { opening, stop_due, announced: has_start }]);
        }
        self.start(source, door, &opening);
        if has_stop || deadline.is_some() {
            let granted = deadline.is_some();
            let opening = has_stop.then_some(opening);
            self.open.insert((source, door), OpenDoor { deadline: until, granted, opening });
        }
    }

    /// When a door without grant runs its stop command.
    fn stop_deadline(&self, door: DoorId, start: Boottime) -> Deadline {
        let timeout = self.config.get(&door).map_or(Duration::ZERO, |door| door.commands.cmd_timeout);
        Deadline::at(start.plus_nanoseconds(timeout.as_nanos() as u64))
    }

    /// The door stays open for longer, or for less long.
    pub(super) fn extend(&mut self, source: Address, door: DoorId, deadline: Deadline) {
        let Some(open) = self.open.get_mut(&(source, door)) else {
            return;
        };
        if open.deadline == deadline {
            return;
        }
        open.deadline = deadline;
        let record = open.opening.clone().map(|opening| Record::Opened {
            opening,
            stop_due: stop_due(deadline),
            announced: false,
        });
        if let Some(record) = record {
            self.record(&[record]);
        }
    }

    pub(super) fn refreshed(&mut self, source: Address, door: DoorId, deadline: Deadline) {
        let name = self.name(door);
        log::info!(target: DOORS, "{source}: {name}: open for longer");
        self.notices.push(Notice::of("refresh", source.to_ip(), &name));
        self.note_grant(source, door, deadline, None);
        self.extend(source, door, deadline);
    }

    /// A valid grant is there. `fresh`: if it was never noticed, it opens its door now; else an earlier controller has
    /// opened it.
    pub(super) fn note_grant(
        &mut self,
        source: Address,
        door: DoorId,
        deadline: Deadline,
        fresh: Option<Boottime>,
    ) {
        if self.open.contains_key(&(source, door)) {
            return self.extend(source, door, deadline);
        }
        match fresh {
            Some(time) => self.open_now(source, door, time, Some(deadline)),
            None => {
                drop(self.open.insert((source, door), OpenDoor { deadline, granted: true, opening: None }))
            }
        }
    }

    /// When the next door closes.
    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        self.open.values().map(|open| open.deadline).filter(|deadline| *deadline != Deadline::FOREVER).min()
    }

    /// Doors that are open by what is known here but whose time is up.
    pub(super) fn due(&self, now: Boottime) -> Vec<(Address, DoorId)> {
        self.open.iter().filter(|(_, open)| open.deadline.passed(now)).map(|(key, _)| *key).collect()
    }

    /// Everything that is open by a grant.
    pub(super) fn granted(&self) -> Vec<(Address, DoorId)> {
        self.open.iter().filter(|(_, open)| open.granted).map(|(key, _)| *key).collect()
    }

    /// Everything that is open.
    pub(super) fn all(&self) -> Vec<(Address, DoorId)> {
        self.open.keys().copied().collect()
    }

    /// The door is closed: runs the stop command that is due. `event`: "expire" or "close".
    pub(super) fn close(&mut self, source: Address, door: DoorId, event: &'static str) {
        let Some(open) = self.open.remove(&(source, door)) else {
            return;
        };
        let name = self.name(door);
        log::info!(target: DOORS, "{source}: {name}: closed");
        self.notices.push(Notice::of(event, source.to_ip(), &name));
        let Some(opening) = open.opening else {
            return;
        };
        self.stop(door, opening);
    }
}

/// Whether the source has given up by now.
fn is_stale(time: Boottime, now: Boottime) -> bool {
    now.nanoseconds().saturating_sub(time.nanoseconds()) > STALE.as_nanos() as u64
}

fn by_id(config: &Config) -> HashMap<DoorId, Door> {
    let ids = door_ids(config.doors.iter().map(|door| door.name.as_str()));
    ids.into_iter().zip(config.doors.iter().cloned()).collect()
}

fn stop_due(deadline: Deadline) -> Option<u64> {
    (deadline != Deadline::FOREVER).then_some(deadline.nanoseconds())
}
