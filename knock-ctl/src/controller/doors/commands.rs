//! The commands of doors: what is run for a source, and what the journal is told of it.

use std::num::NonZeroUsize;

use knock_common::address::Address;
use knock_common::rules::DoorId;

use super::Doors;
use crate::commands::{CommandKind, CommandOutcome, CommandRequest, CommandResult, Limits};
use crate::config::duration::format_duration;
use crate::config::{Config, Door, OpenFor, Opens};
use crate::controller::notice::Notice;
use crate::journal::{JournalError, Opening, Record};
use crate::logging::DOORS;
use crate::metrics::CommandEnd;

impl Doors {
    /// Runs the door's start command, which says so in the journal.
    pub(super) fn start(&mut self, source: Address, door: DoorId, opening: &Opening) {
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

    /// Runs the door's stop command, which says so in the journal.
    pub(super) fn stop(&mut self, door: DoorId, opening: Opening) {
        let rule = self.config.get(&door);
        let Some(mut stop) = rule.and_then(|rule| request(rule, CommandKind::Stop, opening.address)) else {
            return self.record(&[Record::Closed { opening }]);
        };
        self.record(&[Record::Stopping { opening: opening.clone() }]);
        stop.announcement = self.journal.announcement(&Record::Closed { opening });
        self.submit(stop);
    }

    /// Tries again what found no room.
    pub(in crate::controller) fn retry_stops(&mut self) {
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
    pub(in crate::controller) fn ended(&mut self, outcome: CommandOutcome) {
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
    pub(in crate::controller) fn unfinished(&self) -> usize {
        self.runner.unfinished() + self.refused_stops.len()
    }

    pub(super) fn record(&mut self, records: &[Record]) {
        if let Err(error) = self.journal.append(records) {
            log_journal_error(&error);
        }
    }
}

/// How many commands a configuration lets run and wait.
pub(in crate::controller) fn command_limits(config: &Config) -> Limits {
    Limits {
        running: NonZeroUsize::new(config.limits.commands as usize).unwrap_or(NonZeroUsize::MIN),
        queued: config.limits.queued_commands as usize,
    }
}

/// The door's command for this source, if it has one.
pub(super) fn request(door: &Door, kind: CommandKind, source: Address) -> Option<CommandRequest> {
    let address = source.to_ip();
    let command = match kind {
        CommandKind::Approve => door.commands.approve.as_ref(),
        CommandKind::Start => door.commands.start_for(&address),
        CommandKind::Stop => door.commands.stop_for(&address),
    }?;
    let opens = match &door.opens {
        Opens::Any => "any".to_owned(),
        Opens::Ports(ports) => ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let open_for = match door.open_for {
        OpenFor::For(duration) => format_duration(duration),
        OpenFor::Forever => "forever".to_owned(),
    };
    Some(CommandRequest {
        door: door.name.to_string(),
        kind,
        command: command.clone(),
        address,
        opens,
        open_for,
        run_as: door.commands.run_as.clone(),
        time_limit: door.commands.time_limit,
        announcement: None,
    })
}

/// As events have it.
const fn kind_name(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::Start => "start",
        CommandKind::Stop => "stop",
        CommandKind::Approve => "approve",
    }
}

pub(super) fn has_stop(door: &Door, source: Address) -> bool {
    door.commands.stop_for(&source.to_ip()).is_some()
}

fn log_journal_error(error: &JournalError) {
    log::error!(target: DOORS, "{error}; should the controller die now, a stop command may be lost or run twice");
}
