//! What others ask of the controller over its socket.

use anyhow::Result;
use tokio::sync::oneshot;

use super::interfaces::{indices, name_of};
use super::one_time;
use super::socket::{Pending, Reply, Report, Request};
use super::watch::{RECONCILE_EVERY, Watch};
use crate::datapath::detach;
use crate::interface::{self, InterfaceName};

impl Watch {
    /// Answers a request. `Some`: the filter is off everywhere.
    pub(super) fn answer(&mut self, pending: Pending) -> Result<Option<oneshot::Receiver<()>>> {
        let Pending { request, reply, written } = pending;
        let mut over = false;
        let answer = match request {
            Request::Detach { interfaces } => match self.detach(&interfaces) {
                Ok(names) => {
                    let awaits_some = !interfaces.is_empty() && !self.in_force.interfaces.is_empty();
                    over = self.pins.linked_interfaces().is_empty() && !awaits_some;
                    if over {
                        self.leave_nothing()?;
                    }
                    Reply::Done(Report::of(names))
                }
                Err(error) => Reply::Failed(format!("{error:#}")),
            },
            Request::Reconcile => {
                self.looks = self.looks.next_multiple_of(RECONCILE_EVERY);
                self.look()?;
                Reply::Done(Report::default())
            }
            Request::Reload(options) => self.reload(&options),
            Request::Confirm => match self.confirm() {
                Ok(()) => Reply::Done(Report::default()),
                Err(error) => Reply::Failed(format!("{error:#}")),
            },
            Request::Events => Reply::Failed("events are streamed, not answered".to_owned()),
        };
        // Who asked may be gone.
        let _ = reply.send(answer);
        Ok(over.then_some(written))
    }

    fn detach(&mut self, names: &[String]) -> Result<Vec<String>> {
        let attached = self.pins.linked_interfaces();
        let (awaited, here): (Vec<String>, Vec<String>) =
            names.iter().cloned().partition(|name| self.is_awaited(name, &attached));
        let all = names.is_empty();
        let indices = if all || !here.is_empty() { indices(&here, &attached)? } else { Vec::new() };
        let mut taken_off = Vec::new();
        for name in awaited {
            self.stop_following(|followed| followed.as_str() == name);
            log::info!("{name}: is not to be filtered any more");
            taken_off.push(name);
        }
        for index in indices {
            let name = name_of(index);
            // By its index: interfaces have alternative names.
            self.stop_following(|followed| {
                interface::describe(followed).is_ok_and(|facts| facts.index == index)
            });
            detach(&self.pins, index)?;
            log::info!("{name}: detached");
            taken_off.push(name);
        }
        Ok(taken_off)
    }

    /// Whether an interface of this name gets the filter as soon as it can.
    fn is_awaited(&self, name: &str, attached: &[u32]) -> bool {
        let is_attached = |name| interface::describe(name).is_ok_and(|facts| attached.contains(&facts.index));
        self.in_force.interfaces.keys().any(|followed| followed.as_str() == name && !is_attached(followed))
    }

    fn stop_following(&mut self, is_meant: impl Fn(&InterfaceName) -> bool) {
        let names: Vec<InterfaceName> =
            self.in_force.interfaces.keys().filter(|name| is_meant(name)).cloned().collect();
        for name in names {
            self.in_force.interfaces.remove(&name);
            self.following.forget(&name);
            if let Some(change) = &mut self.change {
                change.forget_interface(&name);
            }
        }
    }

    /// Closes every door and removes the pins of a filter that is off everywhere.
    pub(super) fn leave_nothing(&mut self) -> Result<()> {
        for (source, door) in self.doors.all() {
            self.doors.close(source, door, "close");
        }
        one_time::settle_for_good(&self.maps);
        self.pins.remove()?;
        self.directory.clear();
        Ok(())
    }
}
