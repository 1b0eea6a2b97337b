//! Which doors are open for whom, and the commands that go with their opening and closing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use knock_common::address::Address;
use knock_common::rules::DoorId;
use knock_common::time::{Boottime, Deadline};

use crate::clock::boottime;
use crate::commands::{CommandKind, CommandOutcome, CommandRequest, CommandResult, CommandRunner};
use crate::config::{Config, Door};
use crate::journal::{Journal, JournalError, OpenDoor as JournalledDoor, Opening, Record, StopDue};
use crate::logging::DOORS;
use crate::metrics::{CommandEnd, Counts};
use crate::rules::door_ids;

use super::door_commands::{command_limits, kind_name, request};
use super::notice::Notice;

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
    pub(super) config: HashMap<DoorId, Door>,
    /// Doors that the configuration has no more, but that may be open still; they are in `config` too.
    vanished: HashSet<DoorId>,
    open: BTreeMap<(Address, DoorId), OpenDoor>,
    journal: Journal,
    runner: CommandRunner,
    /// Stop commands that found no room in the queue.
    refused_stops: Vec<CommandRequest>,
    counts: Counts,
    /// Whom a command is being asked about, and whom one has approved.
    pub(super) asking: HashSet<(Address, DoorId)>,
    pub(super) approved: Vec<(Address, DoorId)>,
    pub(super) notices: Vec<Notice>,
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

    /// A door's name, for the log.
    pub(super) fn name(&self, door: DoorId) -> String {
        self.config.get(&door).map_or_else(|| format!("unknown-{door:08x}"), |door| door.name.to_string())
    }

    /// Takes up the doors that an earlier controller left open. `may_go_back`: to rules that may have doors that these have not.
    pub(super) fn resume(&mut self, left_open: Vec<JournalledDoor>, may_go_back: bool) {
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

    /// Runs the door's start command, which says so in the journal.
    fn start(&mut self, source: Address, door: DoorId, opening: &Opening) {
        let Some(rule) = self.config.get(&door) else { return };
        let Some(mut request) = request(rule, CommandKind::Start, source) else { return };
        let opening = opening.clone();
        let record =
            if has_stop(rule, source) { Record::Started { opening } } else { Record::Closed { opening } };
        request.announcement = self.journal.announcement(&record);
        // A door without a stop command has nothing more to do then.
        if !self.submit(request) && matches!(record, Record::Closed { .. }) {
            self.record(&[record]);
        }
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

    pub(super) fn note_missed(&mut self, source: Address, name: &str) {
        let notice = Notice::of("lost", source.to_ip(), name).reason("the opening was noticed too late");
        self.notices.push(notice);
    }

    pub(super) fn open_now(
        &mut self,
        source: Address,
        door: DoorId,
        time: Boottime,
        deadline: Option<Deadline>,
    ) {
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

    /// Runs the door's stop command, which says so in the journal.
    fn stop(&mut self, door: DoorId, opening: Opening) {
        let rule = self.config.get(&door);
        let Some(mut stop) = rule.and_then(|rule| request(rule, CommandKind::Stop, opening.address)) else {
            return self.record(&[Record::Closed { opening }]);
        };
        self.record(&[Record::Stopping { opening: opening.clone() }]);
        stop.announcement = self.journal.announcement(&Record::Closed { opening });
        self.submit(stop);
    }

    /// Tries again what found no room.
    pub(super) fn retry_stops(&mut self) {
        for stop in std::mem::take(&mut self.refused_stops) {
            self.submit(stop);
        }
    }

    /// `false`: there is no room for it in the queue.
    pub(super) fn submit(&mut self, request: CommandRequest) -> bool {
        let (address, door, kind) = (request.address, request.door.clone(), request.kind);
        let line = request.command.for_address(address).to_string();
        match self.runner.submit(request) {
            Ok(()) => {
                log::info!(target: DOORS, "{door}: running command: {line}");
                self.notices.push(Notice::of("command", address, &door).kind(kind_name(kind)));
                true
            }
            Err(refused) => {
                log::error!(target: DOORS, "{refused}");
                self.counts.command_ended(&door, kind_name(kind), CommandEnd::Refused);
                self.notices.push(
                    Notice::of("command_failed", address, &door)
                        .kind(kind_name(kind))
                        .reason("too many commands are waiting"),
                );
                if kind == CommandKind::Stop {
                    self.refused_stops.push(*refused.0);
                }
                false
            }
        }
    }

    /// A command has ended.
    pub(super) fn ended(&mut self, outcome: CommandOutcome) {
        let CommandOutcome { door, kind, address, result, announcement, .. } = outcome;
        let succeeded = result.succeeded();
        let end = match &result {
            CommandResult::TimedOut => CommandEnd::TimedOut,
            _ if succeeded => CommandEnd::Succeeded,
            CommandResult::Exited(_) | CommandResult::Failed(_) => CommandEnd::Failed,
        };
        self.counts.command_ended(&door, kind_name(kind), end);
        if !succeeded {
            let reason = match result {
                CommandResult::Exited(status) => format!("{status}"),
                CommandResult::TimedOut => "it took too long and was ended".to_owned(),
                CommandResult::Failed(error) => format!("{error}"),
            };
            log::warn!(target: DOORS, "{address}: {door}: {} command: {reason}", kind_name(kind));
            self.notices
                .push(Notice::of("command_failed", address, &door).kind(kind_name(kind)).reason(reason));
        }
        if kind == CommandKind::Approve {
            self.decided(address, &door, succeeded);
        }
        // One that could not even begin has announced nothing.
        if let Some(announcement) = announcement
            && let Err(error) = self.journal.append_announced(&announcement)
        {
            log_journal_error(&error);
        }
    }

    /// Commands that run or wait.
    pub(super) fn unfinished(&self) -> usize {
        self.runner.unfinished() + self.refused_stops.len()
    }

    fn record(&mut self, records: &[Record]) {
        if let Err(error) = self.journal.append(records) {
            log_journal_error(&error);
        }
    }
}

fn log_journal_error(error: &JournalError) {
    log::error!(target: DOORS, "{error}; should the controller die now, a stop command may be lost or run twice");
}

fn has_stop(door: &Door, source: Address) -> bool {
    door.commands.stop_for(&source.to_ip()).is_some()
}

/// Whether the source has given up by now.
pub(super) fn is_stale(time: Boottime, now: Boottime) -> bool {
    now.nanoseconds().saturating_sub(time.nanoseconds()) > STALE.as_nanos() as u64
}

fn by_id(config: &Config) -> HashMap<DoorId, Door> {
    let ids = door_ids(config.doors.iter().map(|door| door.name.as_str()));
    ids.into_iter().zip(config.doors.iter().cloned()).collect()
}

fn stop_due(deadline: Deadline) -> Option<u64> {
    (deadline != Deadline::FOREVER).then_some(deadline.nanoseconds())
}
