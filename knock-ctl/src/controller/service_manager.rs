//! What a service manager is told, where one has started the controller and asks for it: sd_notify(3).

use std::future::pending;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::watch::Watch;
use crate::interface::InterfaceName;

/// How often a service manager wants to hear that the controller's loop goes round; `None`: never.
pub(super) struct Watchdog(Option<Interval>);

impl Watchdog {
    /// Twice as often as it has to be, as sd_watchdog_enabled(3) advises.
    pub(super) fn new() -> Self {
        let period = sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|period| !period.is_zero());
        Self(period.map(|period| {
            let mut beat = interval(period);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat
        }))
    }

    /// Comes when it is time to be [`alive`].
    pub(super) async fn beat(&mut self) {
        match &mut self.0 {
            Some(beat) => {
                beat.tick().await;
            }
            None => pending().await,
        }
    }
}

pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The configuration is being taken anew, until the controller is ready again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("cannot tell the service manager: {error}"),
    }
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

impl Watch {
    /// The filter is on, and its rules hold.
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
    }

    /// What is filtered has changed.
    pub(super) fn tell_status(&self) {
        tell(&[NotifyState::Status(&self.status())]);
    }

    fn status(&self) -> String {
        let (awaited, filtered): (Vec<_>, Vec<_>) = self
            .in_force
            .interfaces
            .iter()
            .partition(|(name, index)| **index == 0 || self.following.misses(name));
        let names = |interfaces: Vec<(&InterfaceName, &u32)>| {
            let names: Vec<_> = interfaces.into_iter().map(|(name, _)| name.to_string()).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        let awaited =
            if awaited.is_empty() { String::new() } else { format!("; awaiting {}", names(awaited)) };
        let refused = if self.in_force.files.is_last_good {
            "; the configuration is REFUSED, these are the rules that were last in force"
        } else {
            ""
        };
        let doors = self.in_force.config.doors.len();
        format!("Filtering {}{awaited}; doors: {doors}{refused}", names(filtered))
    }
}

/// Where no service manager has asked, nothing happens.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("cannot tell the service manager: {error}");
    }
}
