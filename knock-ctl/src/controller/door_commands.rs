//! The commands of a door, as they are to be run for a source.

use std::num::NonZeroUsize;

use knock_common::address::Address;

use crate::commands::{CommandKind, CommandRequest, Limits};
use crate::config::duration::format_duration;
use crate::config::{Config, Door, OpenFor, Opens};

/// How many commands a configuration lets run and wait.
pub(super) fn command_limits(config: &Config) -> Limits {
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
pub(super) const fn kind_name(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::Start => "start",
        CommandKind::Stop => "stop",
        CommandKind::Approve => "approve",
    }
}
