//! What the controller alone counts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use super::MetricsError;

/// Counted since the controller began. Clones count together.
#[derive(Clone, Debug)]
pub struct Counts {
    pub grants_refused: IntCounter,
    pub events_lost: IntCounter,
    /// By door, kind and how it ended.
    pub(super) commands: IntCounterVec,
    /// 1, or 0.
    pub(super) last_reload_successful: IntGauge,
    /// The interfaces that the filter is to be on.
    pub(super) interfaces: Arc<Mutex<BTreeSet<String>>>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    Succeeded,
    /// With another status than 0, or it could not be run at all.
    Failed,
    TimedOut,
    /// Too many were waiting.
    Refused,
}

impl CommandEnd {
    const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
        }
    }
}

impl Counts {
    /// Nothing yet; the configuration that the controller begins with is its first successful reload.
    ///
    /// # Errors
    /// None that a caller could cause: the names are fixed.
    pub fn new() -> Result<Self, MetricsError> {
        let counts = Self {
            grants_refused: IntCounter::new(
                "knock_grants_refused_total",
                "Completed sequences whose grant could not be stored.",
            )?,
            events_lost: IntCounter::new(
                "knock_events_lost_total",
                "Events of the kernel program that the controller did not get, or got too late to act on.",
            )?,
            commands: IntCounterVec::new(
                Opts::new("knock_commands_total", "Commands of doors, by how they ended."),
                &["door", "kind", "result"],
            )?,
            last_reload_successful: IntGauge::new(
                "knock_config_last_reload_successful",
                "Whether the configuration was taken when it was last to be taken anew.",
            )?,
            interfaces: Arc::default(),
        };
        counts.reloaded(true);
        Ok(counts)
    }

    pub fn command_ended(&self, door: &str, kind: &str, end: CommandEnd) {
        self.commands.with_label_values(&[door, kind, end.name()]).inc();
    }

    pub fn reloaded(&self, successful: bool) {
        self.last_reload_successful.set(successful.into());
    }

    /// The filter is to be on these interfaces, and on no others.
    pub fn expect_interfaces(&self, names: BTreeSet<String>) {
        *self.interfaces.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }
}
