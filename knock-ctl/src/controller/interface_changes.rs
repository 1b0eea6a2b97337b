//! From the interfaces of one configuration to those of another.

use std::collections::BTreeMap;

use anyhow::Result;

use super::interfaces::{attach, attach_egress, prepare, refuse_foreign_program, refuse_misplaced};
use crate::config;
use crate::datapath::{self, Pins, Program};
use crate::interface::{self, InterfaceFacts, InterfaceName, XdpMode};

/// What another configuration's interfaces mean for those that the filter is on.
pub(super) struct InterfaceChanges {
    attach: Vec<(InterfaceName, InterfaceFacts)>,
    stay: BTreeMap<InterfaceName, u32>,
    detach: BTreeMap<InterfaceName, u32>,
}

impl InterfaceChanges {
    /// Every interface stays.
    pub(super) fn none(before: &BTreeMap<InterfaceName, u32>) -> Self {
        Self { attach: Vec::new(), stay: before.clone(), detach: BTreeMap::new() }
    }

    /// From those that were named to those that are.
    ///
    /// # Errors
    /// When one that is named newly does not exist, is not the place for the filter, or has a program of somebody else's.
    pub(super) fn between(
        before: &BTreeMap<InterfaceName, u32>,
        after: &[InterfaceName],
        filter: &config::Filter,
        pins: &Pins,
    ) -> Result<Self> {
        let mut changes = Self::none(before);
        changes.detach = before.iter().map(|(name, index)| (name.clone(), *index)).collect();
        changes.stay.clear();
        for name in after {
            match (before.get(name), interface::describe(name)) {
                // It is gone for now, or gone and back.
                (Some(&index), facts) if facts.as_ref().map_or(true, |facts| facts.index == index) => {
                    changes.detach.remove(name);
                    changes.stay.insert(name.clone(), index);
                }
                (_, facts) => {
                    let facts = facts?;
                    refuse_misplaced(name, &facts, filter, pins)?;
                    refuse_foreign_program(name, &facts, pins)?;
                    if pins.link(facts.index).exists() {
                        changes.stay.insert(name.clone(), facts.index);
                    } else {
                        changes.attach.push((name.clone(), facts));
                    }
                }
            }
        }
        Ok(changes)
    }

    /// Whether the filter comes to some.
    pub(super) fn attach_some(&self) -> bool {
        !self.attach.is_empty()
    }

    /// A line for each interface that differs.
    pub(super) fn describe(&self) -> Vec<String> {
        let added = self.attach.iter().map(|(name, _)| format!("interface {name}: added"));
        added.chain(self.detach.keys().map(|name| format!("interface {name}: removed"))).collect()
    }

    /// A line for each interface that stays attached in another mode than is asked for.
    pub(super) fn fixed_modes(&self, mode: config::Mode) -> Vec<String> {
        let other = match mode {
            config::Mode::Auto => return Vec::new(),
            config::Mode::Native => XdpMode::Generic,
            config::Mode::Generic => XdpMode::Native,
        };
        let is_otherwise = |index: &u32| {
            interface::attached_programs(*index)
                .is_ok_and(|programs| programs.iter().any(|program| program.mode == other))
        };
        let names = self.stay.iter().filter(|(_, index)| is_otherwise(index)).map(|(name, _)| name);
        names
            .map(|name| {
                format!(
                    "filter.mode: {name} stays attached as it is; `knock-ctl detach {name}` and attach anew to change that"
                )
            })
            .collect()
    }

    /// Attaches to what is named newly, to all or to none.
    pub(super) fn attach(&self, program: &mut Program, mode: config::Mode, pins: &Pins) -> Result<()> {
        if !self.attach.is_empty() {
            prepare(program, Some(mode), pins)?;
        }
        for (name, facts) in &self.attach {
            let attached = attach_egress(program, name, facts.index, pins)
                .and_then(|()| attach(program, name, facts, mode, pins));
            if let Err(error) = attached {
                self.take_back(pins);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The reverse of [`InterfaceChanges::attach`].
    pub(super) fn take_back(&self, pins: &Pins) {
        for (name, facts) in &self.attach {
            take_off(name, facts.index, pins);
        }
    }

    /// Detaches from what is named no more.
    pub(super) fn detach(&self, pins: &Pins) {
        for (name, &index) in &self.detach {
            take_off(name, index, pins);
        }
    }

    /// What is named now.
    pub(super) fn after(&self) -> BTreeMap<InterfaceName, u32> {
        let attached = self.attach.iter().map(|(name, facts)| (name.clone(), facts.index));
        attached.chain(self.stay.clone()).collect()
    }
}

/// `index`: that which it had; it may have gone and come back since.
fn take_off(name: &InterfaceName, index: u32, pins: &Pins) {
    let index = interface::describe(name).map_or(index, |facts| facts.index);
    match datapath::detach(pins, index) {
        Ok(()) => log::info!("{name}: detached"),
        Err(error) => log::warn!("{name}: {error}"),
    }
}
