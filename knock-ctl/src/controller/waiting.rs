//! A change of rules that waits to be confirmed, and the way back from it.
//!
//! The kernel program itself goes back when the time is up. What the controller does then makes that permanent, and lets what it
//! knows follow.

use anyhow::{Result, bail};
use knock_common::grant::Granted;
use knock_common::rules::Slot;
use knock_common::time::{Boottime, Deadline};

use super::connections;
use super::in_force::InForce;
use super::interface_changes::InterfaceChanges;
use super::interfaces::name_of;
use super::notice::Notice;
use super::watch::{End, Watch};
use crate::clock::boottime;
use crate::config::duration::format_duration;
use crate::datapath::{Maps, Unconfirmed, detach};
use crate::interface::InterfaceName;
use crate::logging::{self, Outputs};
use crate::runtime::{ChangeRecord, Position, RunState, RuntimeDirectory};
use crate::sockets;

/// A change of rules that is in force and waits.
pub(super) struct Change {
    until: Boottime,
    before: Before,
}

/// What there was before a change.
pub(super) enum Before {
    /// This controller's own rules.
    Own { in_force: Box<InForce>, interfaces: InterfaceChanges },
    /// Those of an earlier controller; the interfaces with these indices were not filtered.
    Earlier { attached: Vec<u32> },
    /// No filter.
    Nothing,
}

impl Change {
    /// Notes who is connected by now, so that those who come in later are known as such.
    pub(super) fn begin(
        unconfirmed: &Unconfirmed,
        before: Before,
        maps: &Maps,
        directory: &RuntimeDirectory,
    ) -> Self {
        let note = || -> Result<()> {
            let completions = Position { serials: maps.serials()? };
            let connections = sockets::connection_cookies()?;
            Ok(ChangeRecord::new(unconfirmed.until, boottime(), completions, connections).save(directory)?)
        };
        if let Err(error) = note() {
            log::warn!("who comes in from now on can't be told from who was here before: {error:#}");
        }
        Self { until: unconfirmed.until, before }
    }

    /// The interface is to be filtered no more, also if the change is undone.
    pub(super) fn forget_interface(&mut self, name: &InterfaceName) {
        if let Before::Own { in_force, .. } = &mut self.before {
            in_force.interfaces.remove(name);
        }
    }
}

/// Refuses a change of rules while another one waits: the rules to go back to would have no place.
pub(super) fn refuse_while_waiting(maps: &Maps) -> Result<()> {
    match maps.unconfirmed()?.and_then(|change| change.time_left()) {
        None => Ok(()),
        Some(left) => bail!(
            "a change of rules waits to be confirmed for another {}; `knock-ctl confirm` keeps it, and without that it \
             is undone then",
            in_seconds(left)
        ),
    }
}

/// Makes permanent that an earlier change was not confirmed in time. Returns the slot of the rules that are in force.
pub(super) fn settle_earlier(maps: &mut Maps) -> Result<Option<Slot>> {
    refuse_while_waiting(maps)?;
    if maps.unconfirmed()?.is_some() {
        log::warn!("the last change of rules was not confirmed in time, and is undone");
    }
    maps.settle()?;
    Ok(maps.slot_in_force()?)
}

/// Whole seconds, and no fewer than are left.
pub(super) fn in_seconds(left: std::time::Duration) -> String {
    format_duration(std::time::Duration::from_secs(left.as_millis().div_ceil(1000) as u64))
}

impl Watch {
    /// Lets the change that waits hold for good.
    pub(super) fn confirm(&mut self) -> Result<()> {
        if !self.maps.confirm()? {
            bail!("no change of rules waits to be confirmed; it may have been undone already");
        }
        self.confirmed()
    }

    /// When the change that waits is undone.
    pub(super) fn change_deadline(&self) -> Option<Deadline> {
        self.change.as_ref().map(|change| Deadline::at(change.until))
    }

    /// Looks what became of the change that waits. `Some`: the controller ends with it.
    pub(super) fn look_at_change(&mut self) -> Result<Option<End>> {
        if self.change.is_none() {
            return Ok(None);
        }
        match self.maps.unconfirmed()? {
            None => self.confirmed().map(|()| None),
            Some(change) if change.time_left().is_none() => self.go_back(),
            Some(_) => Ok(None),
        }
    }

    fn confirmed(&mut self) -> Result<()> {
        log::info!("the change of rules is confirmed");
        ChangeRecord::remove(&self.directory);
        self.keep_last_good();
        match self.change.take().map(|change| change.before) {
            Some(Before::Own { interfaces, .. }) => {
                interfaces.detach(&self.pins);
                self.close_vanished()
            }
            _ => Ok(()),
        }
    }

    fn go_back(&mut self) -> Result<Option<End>> {
        const REASON: &str = "the change of rules was not confirmed in time";

        self.tell(Notice::new("config_rejected").reason(REASON));
        let Some(Change { before, .. }) = self.change.take() else {
            return Ok(None);
        };
        ChangeRecord::remove(&self.directory);
        match before {
            Before::Own { in_force, interfaces } => {
                log::error!("{REASON}; the rules before hold again, and the files still say otherwise");
                self.in_force = *in_force;
                self.following.begin_anew();
                match Outputs::open(&self.in_force.config.log) {
                    Ok(outputs) => logging::write_to(outputs),
                    Err(error) => log::error!("{error}"),
                }
                if let Err(error) = self.serve_metrics() {
                    log::error!("{error:#}");
                }
                // Connections that began meanwhile to what is closed again.
                connections::import(&self.maps, &self.in_force.closed, &self.in_force.rules)?;
                self.maps.settle()?;
                interfaces.take_back(&self.pins);
                self.read_completions()?;
                self.doors.reconfigure(&self.in_force.config);
                self.close_vanished()?;
                Ok(None)
            }
            Before::Earlier { attached } => {
                log::error!(
                    "{REASON}; this configuration is not in force, but that of the controller before: it ends here"
                );
                self.maps.settle()?;
                self.take_off(&attached);
                self.close_unknown_to_earlier()?;
                Ok(Some(End::NotConfirmed))
            }
            Before::Nothing => {
                log::error!("{REASON}; there was no filter before: it goes off");
                self.take_off(&self.pins.linked_interfaces());
                self.leave_nothing()?;
                Ok(Some(End::NotConfirmed))
            }
        }
    }

    /// Closes the doors that the rules of the controller before do not have: no later controller will know how.
    fn close_unknown_to_earlier(&mut self) -> Result<()> {
        let Some(slot) = self.maps.slot_in_force()? else {
            return Ok(());
        };
        let Some(earlier) = RunState::load(&self.directory, slot)? else {
            return Ok(());
        };
        let known = earlier.by_id();
        self.read_completions()?;
        let now = boottime();
        for (source, door) in self.doors.all().into_iter().filter(|(_, door)| !known.contains_key(door)) {
            self.maps.revoke(&source, |granted| granted == Granted::Door(door), now)?;
            self.doors.close(source, door, "close");
        }
        Ok(())
    }

    /// Serves the metrics where the rules in force say.
    fn serve_metrics(&mut self) -> Result<()> {
        let listen = self.metrics.prepare(self.in_force.config.metrics)?;
        self.metrics.serve(listen)
    }

    fn take_off(&self, indices: &[u32]) {
        for &index in indices {
            let name = name_of(index);
            match detach(&self.pins, index) {
                Ok(()) => log::info!("{name}: detached"),
                Err(error) => log::warn!("{name}: {error}"),
            }
        }
    }
}
