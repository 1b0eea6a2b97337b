//! What a packet does besides being passed or dropped.

use std::fmt;

use knock_common::event::{Event, EventKind};
use knock_common::rules::{DoorId, steps_taken};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The attempt of its source is at this step (from 1) of a door.
    Step {
        door: String,
        step: u32,
    },
    /// The attempt of its source is over.
    Reset,
    Opened {
        door: String,
    },
    /// It was open already.
    Extended {
        door: String,
    },
    /// Its grant was revoked.
    Closed {
        door: String,
    },
    GrantRefused {
        door: String,
    },
    /// The source is held for scanning.
    Held,
}

/// The effects that the events of one packet tell of, where every step is an event.
pub fn effects(events: &[Event], name: impl Fn(DoorId) -> String) -> Vec<Effect> {
    let kinds = events.iter().map(|event| EventKind::from_number(event.kind));
    // The last step says no more than what it leads to.
    let completes = kinds.clone().any(|kind| {
        !matches!(kind, Some(EventKind::Stage | EventKind::SourceHeld | EventKind::Dropped) | None)
    });
    let effect = |(event, kind): (&Event, Option<EventKind>)| {
        let door = name(event.door);
        Some(match kind? {
            EventKind::Stage if completes => return None,
            EventKind::Stage => Effect::Step { door, step: steps_taken(event.detail) },
            EventKind::Open => Effect::Opened { door },
            EventKind::Refresh => Effect::Extended { door },
            EventKind::Close => Effect::Closed { door },
            EventKind::GrantRefused => Effect::GrantRefused { door },
            EventKind::SourceHeld => Effect::Held,
            EventKind::Dropped => return None,
        })
    };
    events.iter().zip(kinds).filter_map(effect).collect()
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { door, step } => write!(f, "{door}: step {step}"),
            Self::Reset => f.write_str("attempt reset"),
            Self::Opened { door } => write!(f, "{door}: opened"),
            Self::Extended { door } => write!(f, "{door}: open for longer"),
            Self::Closed { door } => write!(f, "{door}: closed"),
            Self::GrantRefused { door } => write!(f, "{door}: complete, but the grant is refused"),
            Self::Held => f.write_str("held for scanning"),
        }
    }
}
