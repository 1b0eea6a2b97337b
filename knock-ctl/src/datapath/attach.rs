//! Puts the programs on interfaces and takes them off.

use std::fmt;

use aya::programs::links::FdLink;
use aya::programs::loaded_programs;
use aya::programs::xdp::{XdpLink, XdpMode};

use super::egress::{self, EgressHook};
use super::link::{end_link, open_link, pin_link, program_on_link};
use super::program::{LINEAR, MULTI_BUFFER, Program};
use super::{DatapathError, Pins};
use crate::interface::{self, attached_programs, name_of};

/// Where on its way a packet meets the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In the network driver.
    Native,
    /// In the kernel's network stack, behind the allocation of a socket buffer.
    Generic,
}

impl Mode {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn xdp_mode(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface that the filter is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedInterface {
    pub index: u32,
    pub program_id: u32,
}

impl Program {
    /// Attaches to an interface that has no XDP program, and pins the link.
    ///
    /// # Errors
    /// [`DatapathError::Verifier`] when the kernel refuses the program wherever it shall go; else what the interface says.
    pub fn attach(&mut self, index: u32, mode: Mode, pins: &Pins) -> Result<(), DatapathError> {
        match mode {
            // What takes frames in several buffers goes on more drivers.
            Mode::Native => self
                .attach_one(MULTI_BUFFER, index, mode, pins)
                .or_else(|_| self.attach_one(LINEAR, index, mode, pins)),
            // A generic program sees frames made linear.
            Mode::Generic => self.attach_one(LINEAR, index, mode, pins),
        }
    }

    fn attach_one(
        &mut self,
        name: &'static str,
        index: u32,
        mode: Mode,
        pins: &Pins,
    ) -> Result<(), DatapathError> {
        let program = self.xdp(name)?;
        let id = program.attach_to_if_index(index, mode.xdp_mode()).map_err(Box::new)?;
        let link = program.take_link(id).map_err(Box::new)?;
        // A link of the old kind, which can't be pinned, detaches as it is dropped here.
        let link: FdLink = link.try_into().map_err(|_| {
            DatapathError::Link("this kernel has no links for XDP programs; Linux 5.10 or newer has".into())
        })?;
        pin_link(link, &pins.link(index))
    }

    /// Puts this program in the place of the one that an earlier controller attached, from one packet to the next.
    pub fn take_over(&mut self, index: u32, pins: &Pins) -> Result<(), DatapathError> {
        if attached(pins, index).is_some_and(|attached| self.is_running(attached.program_id)) {
            return Ok(());
        }
        let path = pins.link(index);
        let name = name_on_link(pins, index)?;
        let link = XdpLink::try_from(FdLink::from(open_link(&path)?))
            .map_err(|error| DatapathError::Link(format!("{}: {error}", path.display())))?;
        let program = self.xdp(name)?;
        let id = program.attach_to_link(link).map_err(Box::new)?;
        // The pin alone holds the link from here on, so that it ends with the pin.
        drop(program.take_link(id).map_err(Box::new)?);
        Ok(())
    }

    /// Loads what [`Program::take_over`] needs for the interfaces that are filtered already, and [`Program::attach`] for a new
    /// one in `mode`: to have it refused, and to have waited for the verifier, before anything is changed.
    ///
    /// # Errors
    /// [`DatapathError::Verifier`] when the kernel refuses a program.
    pub fn prepare(&mut self, mode: Option<Mode>, pins: &Pins) -> Result<(), DatapathError> {
        for index in pins.linked_interfaces() {
            let is_running = attached(pins, index).is_some_and(|link| self.is_running(link.program_id));
            if !is_running && let Ok(name) = name_on_link(pins, index) {
                self.xdp(name)?;
            }
        }
        let Some(mode) = mode else {
            return Ok(());
        };
        if mode == Mode::Generic || self.xdp(MULTI_BUFFER).is_err() {
            self.xdp(LINEAR)?;
        }
        self.classifier().map(|_| ())
    }

    /// Attaches to packets that leave an interface, in the place of an earlier controller's program if there is one, from
    /// one packet to the next.
    ///
    /// # Errors
    /// [`DatapathError::Egress`] when the interface does not take it.
    pub fn attach_egress(&mut self, index: u32, hook: EgressHook, pins: &Pins) -> Result<(), DatapathError> {
        if egress::program_on_link(pins, index).is_some_and(|id| self.is_running(id)) {
            return Ok(());
        }
        egress::attach(self.classifier()?, index, hook, pins)
    }
}

/// The interface that a link was pinned for, and the program on the link; it need not be on the interface any more.
pub fn attached(pins: &Pins, index: u32) -> Option<AttachedInterface> {
    let program_id = program_on_link(&pins.link(index))?;
    Some(AttachedInterface { index, program_id })
}

/// An interface that packets pass through the filter on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteredInterface {
    pub name: String,
    pub index: u32,
    /// "native", "generic" or "offloaded".
    pub mode: &'static str,
    pub program_id: u32,
}

/// Those that the filter is on at this moment: a link outlives its interface, and then filters nothing.
pub fn filtered_interfaces(pins: &Pins) -> Vec<FilteredInterface> {
    let on_interface = |index| {
        let program_id = attached(pins, index)?.program_id;
        let program = attached_programs(index).ok()?.into_iter().find(|program| program.id == program_id)?;
        let mode = match program.mode {
            interface::XdpMode::Native => Mode::Native.name(),
            interface::XdpMode::Generic => Mode::Generic.name(),
            interface::XdpMode::Offloaded => "offloaded",
        };
        let name = name_of(index)?;
        Some(FilteredInterface { name, index, mode, program_id })
    };
    pins.linked_interfaces().into_iter().filter_map(on_interface).collect()
}

/// Whether packets that come in by this interface pass through the filter: its link is pinned, and neither it nor the interface
/// has come to an end.
pub fn is_filtered(pins: &Pins, index: u32) -> bool {
    let Some(link) = attached(pins, index) else {
        return false;
    };
    attached_programs(index)
        .is_ok_and(|programs| programs.iter().any(|program| program.id == link.program_id))
}

/// Removes the pins of links that hold nothing any more: their interface is gone, or somebody has detached them.
pub fn remove_dead_links(pins: &Pins) -> Result<(), DatapathError> {
    pins.pinned_interfaces().into_iter().filter(|&index| !is_filtered(pins, index)).try_for_each(|index| {
        // What leaves is followed before the filter comes.
        let is_being_attached = !pins.link(index).exists() && name_of(index).is_some();
        if is_being_attached { Ok(()) } else { detach(pins, index) }
    })
}

/// Takes the filter off one interface, or what of it is there.
pub fn detach(pins: &Pins, index: u32) -> Result<(), DatapathError> {
    let path = pins.link(index);
    if path.exists() {
        end_link(&path)?;
    }
    egress::detach(pins, index)
}

/// Which program is on a pinned link: the kernel replaces one only by its like.
fn name_on_link(pins: &Pins, index: u32) -> Result<&'static str, DatapathError> {
    let of_another =
        || DatapathError::Link(format!("{} holds no program of ours", pins.link(index).display()));
    let id = attached(pins, index).ok_or_else(of_another)?.program_id;
    let program = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    let name = program.as_ref().and_then(|program| program.name_as_str());
    [LINEAR, MULTI_BUFFER].into_iter().find(|&ours| name == Some(ours)).ok_or_else(of_another)
}
