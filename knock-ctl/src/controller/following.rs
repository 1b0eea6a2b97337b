//! Interfaces come, go and are renamed while the filter is to be on them, and the default route moves.
//!
//! The filter follows names: an interface that has one of those it is to be on is filtered. It is never taken off because of
//! what happens to an interface, since that would open what is closed: one that is renamed stays filtered, and so does the one
//! that the default route has left.

use std::collections::BTreeMap;

use anyhow::Result;

use super::bring_up::remember;
use super::connections;
use super::interfaces::{self, name_default, name_literally};
use super::notice::Notice;
use super::watch::Watch;
use crate::datapath::{self, Pins, is_filtered};
use crate::interface::{self, InterfaceError, InterfaceFacts, InterfaceName, name_of};

/// How often the log repeats that an interface is still not filtered, in looks.
const REPEAT_EVERY: u64 = 60;

/// What the controller knows of the interfaces beyond their names and indices.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Those of which it has told that they are lost.
    lost: BTreeMap<InterfaceName, Lost>,
    /// That of the default route when it looked last, where that is to be filtered.
    default: Option<InterfaceName>,
    /// Whether the routes are to be looked at.
    pub(super) routes_are_known: bool,
}

/// Why an interface is not filtered, or down.
#[derive(Debug, Default)]
struct Lost {
    reason: String,
    /// The look at which the log told of it.
    told: u64,
    /// It is here, and could not be attached to.
    has_refused: bool,
}

/// When to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Something happened to an interface: attaching to one itself does that, so what has failed waits for the next look.
    Change,
    Look,
}

impl Following {
    /// The interface is to be filtered no more.
    pub(super) fn forget(&mut self, name: &InterfaceName) {
        self.lost.remove(name);
    }

    /// Whether it is to be filtered and is not, or is down.
    pub(super) fn misses(&self, name: &InterfaceName) -> bool {
        self.lost.contains_key(name)
    }

    /// Other interfaces may be named now.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::default();
    }
}

/// How an interface is that is to be filtered.
enum Presence {
    Filtered {
        index: u32,
        up: bool,
    },
    Unfiltered(InterfaceFacts),
    /// The device has another name now.
    Renamed(String),
    Gone,
}

/// `index`: that which the interface of this name had.
fn presence(name: &InterfaceName, index: u32, pins: &Pins) -> Result<Presence, InterfaceError> {
    match interface::describe(name) {
        Ok(facts) if is_filtered(pins, facts.index) => {
            Ok(Presence::Filtered { index: facts.index, up: facts.up })
        }
        Ok(facts) => Ok(Presence::Unfiltered(facts)),
        Err(InterfaceError::NotFound(_)) => match name_of(index) {
            Some(other) => Ok(Presence::Renamed(other)),
            None => Ok(Presence::Gone),
        },
        Err(error) => Err(error),
    }
}

impl Watch {
    /// Whether a change of routes can matter that has not been looked at.
    pub(super) fn awaits_routes(&self) -> bool {
        self.following.routes_are_known
            && name_default(&self.options.interfaces, &self.in_force.config.filter)
    }

    /// Sees to it that the filter is on every interface that it is to be on.
    pub(super) fn follow_interfaces(&mut self, occasion: Occasion) {
        if occasion == Occasion::Look && !self.following.routes_are_known {
            self.follow_default_route();
        }
        for (name, index) in self.in_force.interfaces.clone() {
            match presence(&name, index, &self.pins) {
                Ok(presence) => self.follow(&name, index, presence, occasion),
                Err(error) => log::warn!("{error}"),
            }
        }
    }

    fn follow(&mut self, name: &InterfaceName, before: u32, presence: Presence, occasion: Occasion) {
        match presence {
            Presence::Filtered { index, up } => {
                self.in_force.interfaces.insert(name.clone(), index);
                self.forget_link(before);
                if up {
                    self.has_come_back(name);
                } else {
                    self.has_gone(name, "it is set down");
                }
            }
            Presence::Renamed(other) => {
                if self.has_gone(name, &format!("it is named {other} now")) {
                    log::warn!(
                        "{other} stays filtered; `knock-ctl detach {other}` takes the filter off, and the next interface \
                         that is named {name} gets it too"
                    );
                }
            }
            Presence::Gone => {
                let index_was_known = before != 0;
                self.forget_link(before);
                if self.has_gone(name, if index_was_known { "it is gone" } else { "it is not here yet" }) {
                    // So that the verifier keeps nobody waiting when it returns.
                    let mode = self.in_force.config.filter.mode;
                    if let Err(error) = interfaces::prepare(&mut self.program, Some(mode), &self.pins) {
                        log::warn!("{error:#}");
                    }
                }
            }
            Presence::Unfiltered(facts) => {
                self.forget_link(before);
                let lost = self.following.lost.get(name);
                if occasion == Occasion::Change && lost.is_some_and(|lost| lost.has_refused) {
                    return;
                }
                if lost.is_none() {
                    let is_the_same = facts.index == before;
                    self.has_gone(
                        name,
                        if is_the_same { "somebody has taken the filter off" } else { "it was replaced" },
                    );
                }
                match self.put_filter_on(name, &facts) {
                    Ok(()) => {
                        self.in_force.interfaces.insert(name.clone(), facts.index);
                        if facts.up {
                            self.has_come_back(name);
                        }
                    }
                    Err(error) => self.has_refused(name, &format!("{error:#}")),
                }
            }
        }
    }

    /// Removes the pins of an interface if that is no more.
    fn forget_link(&self, index: u32) {
        let is_here = name_of(index).is_some();
        if !is_here
            && self.pins.pinned_interfaces().contains(&index)
            && let Err(error) = datapath::detach(&self.pins, index)
        {
            log::warn!("{error}");
        }
    }

    /// `true`: this is news.
    fn has_gone(&mut self, name: &InterfaceName, reason: &str) -> bool {
        if self.following.lost.get(name).is_some_and(|lost| lost.reason == reason) {
            return false;
        }
        log::warn!("{name}: lost: {reason}");
        self.note_lost(name, reason, false);
        true
    }

    fn has_come_back(&mut self, name: &InterfaceName) {
        if self.following.lost.remove(name).is_some() {
            log::info!("{name}: is here and filtered");
            self.tell(Notice::new("interface_back").interface(name));
            self.tell_status();
        }
    }

    fn has_refused(&mut self, name: &InterfaceName, reason: &str) {
        let known = self.following.lost.get(name).filter(|lost| lost.reason == reason);
        if known.is_some_and(|lost| self.looks < lost.told + REPEAT_EVERY) {
            return;
        }
        log::error!("{name} is NOT filtered: {reason}; it is tried again each second");
        self.note_lost(name, reason, true);
    }

    fn note_lost(&mut self, name: &InterfaceName, reason: &str, has_refused: bool) {
        self.tell(Notice::new("interface_lost").interface(name).reason(reason));
        let lost = Lost { reason: reason.to_owned(), told: self.looks, has_refused };
        self.following.lost.insert(name.clone(), lost);
        self.tell_status();
    }

    /// As `attach` does it, in the same order.
    fn put_filter_on(&mut self, name: &InterfaceName, facts: &InterfaceFacts) -> Result<()> {
        // A link that somebody has detached holds its pin's place.
        datapath::remove_dead_links(&self.pins)?;
        interfaces::refuse_misplaced(name, facts, &self.in_force.config.filter, &self.pins)?;
        if !self.options.replace {
            interfaces::refuse_foreign_program(name, facts, &self.pins)?;
        }
        let mut displaced = None;
        let attached = self.attach_between_imports(name, facts, &mut displaced);
        if attached.is_err() {
            if let Err(error) = datapath::detach(&self.pins, facts.index) {
                log::warn!("{error}");
            }
            interfaces::put_back(displaced.as_slice());
        }
        remember(&self.program, &self.directory);
        attached
    }

    fn attach_between_imports(
        &mut self,
        name: &InterfaceName,
        facts: &InterfaceFacts,
        displaced: &mut Option<datapath::Displaced>,
    ) -> Result<()> {
        let (closed, rules) = (&self.in_force.closed, &self.in_force.rules);
        interfaces::attach_egress(&mut self.program, name, facts.index, &self.pins)?;
        connections::import(&self.maps, closed, rules)?;
        if self.options.replace {
            *displaced = interfaces::displace_foreign_program(name, facts, &self.pins)?;
        }
        let mode = self.in_force.config.filter.mode;
        interfaces::attach(&mut self.program, name, facts, mode, &self.pins)?;
        connections::import(&self.maps, closed, rules)?;
        Ok(())
    }

    /// Has the interface of the default route filtered, where "default" is named.
    fn follow_default_route(&mut self) {
        self.following.routes_are_known = true;
        let filter = &self.in_force.config.filter;
        if !name_default(&self.options.interfaces, filter) {
            return;
        }
        let now = match interface::default_route_interface() {
            Ok(Some(name)) => name,
            // It may come back.
            Ok(None) => return,
            Err(error) => return log::warn!("{error}"),
        };
        if self.following.default.as_ref() == Some(&now) {
            return;
        }
        if let Some(before) = self.following.default.replace(now.clone()) {
            let is_filtered =
                self.in_force.interfaces.get(&before).is_some_and(|index| {
                    interface::describe(&before).is_ok_and(|facts| facts.index == *index)
                });
            if name_literally(&self.options.interfaces, filter, &before) {
                log::info!("the default route goes by {now} now");
            } else if is_filtered {
                log::warn!(
                    "the default route goes by {now} now; {before} stays filtered, `knock-ctl detach {before}` takes the \
                     filter off"
                );
            } else {
                log::info!("the default route goes by {now} now, and {before} is gone");
                self.in_force.interfaces.remove(&before);
                self.following.forget(&before);
            }
        }
        if !self.in_force.interfaces.contains_key(&now) {
            // It is filtered next, and told of then.
            self.in_force.interfaces.insert(now.clone(), 0);
            self.following.lost.insert(now, Lost::default());
        }
    }

    /// Those that are filtered because the default route went by them, where "default" is still named.
    pub(super) fn former_defaults(&self, after: &crate::config::Filter) -> Vec<InterfaceName> {
        let (named, before) = (&self.options.interfaces, &self.in_force.config.filter);
        if !name_default(named, before) || !name_default(named, after) {
            return Vec::new();
        }
        let names = self.in_force.interfaces.keys();
        names.filter(|name| !name_literally(named, before, name)).cloned().collect()
    }
}
