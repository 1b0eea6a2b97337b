//! What the pinned maps tell, at one moment.

use knock_common::time::Boottime;

use crate::clock::boottime;
use crate::config;
use crate::datapath::{
    DatapathError, FilteredInterface, Maps, PacketCounters, Pins, TableUse, filtered_interfaces,
};
use crate::runtime::{RunState, RuntimeDirectory, running_controller};

/// The filter as it was found. What is unknown is left out.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub interfaces: Vec<FilteredInterface>,
    pub controller_runs: bool,
    /// By interface. Empty: there is no filter.
    pub packets: Vec<(String, PacketCounters)>,
    /// Each door of the rules in force, and how often it was opened.
    pub doors: Vec<(String, u64)>,
    pub tables: Vec<(Table, TableUse)>,
    /// `None`: no rules are in force, or nobody knows where they are from.
    pub differs_from_disk: Option<bool>,
}

/// A table of the kernel program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Sources with a valid grant.
    Grants,
    Attempts,
    /// Accepted connections.
    Flows,
    /// What this machine began.
    Outgoing,
}

impl Table {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::Attempts => "attempts",
            Self::Flows => "flows",
            Self::Outgoing => "outgoing",
        }
    }
}

impl Sample {
    /// Looks at the filter of this network namespace.
    ///
    /// # Errors
    /// A map could not be read.
    pub fn take(pins: &Pins, maps: &Maps, directory: &RuntimeDirectory) -> Result<Self, DatapathError> {
        let now = boottime();
        let state = match maps.slot_in_force()? {
            Some(slot) => RunState::load(directory, slot).unwrap_or_else(|error| {
                log::warn!("{error}");
                None
            }),
            None => None,
        };
        let interfaces = filtered_interfaces(pins);
        let doors = state.iter().flat_map(|state| &state.doors);
        Ok(Self {
            packets: maps.counters_by_interface(&interfaces)?,
            interfaces,
            controller_runs: running_controller(directory).is_some(),
            doors: doors.map(|door| (door.name.clone(), maps.openings(door.id))).collect(),
            tables: vec![
                (Table::Grants, sources_granted(maps, now)?),
                (Table::Attempts, maps.attempts_use(now)?),
                (Table::Flows, maps.flows_use(now)),
                (Table::Outgoing, maps.outgoing_use(now)),
            ],
            differs_from_disk: state
                .as_ref()
                .map(|state| config::differs_from_disk(&state.config.path, &state.config.sha256)),
        })
    }

    /// Where there is no filter.
    pub fn without_filter(directory: &RuntimeDirectory) -> Self {
        Self { controller_runs: running_controller(directory).is_some(), ..Self::default() }
    }
}

/// The table has an entry for each source, whatever it was granted.
fn sources_granted(maps: &Maps, now: Boottime) -> Result<TableUse, DatapathError> {
    let sources = maps.all_grants()?;
    let holds = |grants: &&_| is_valid(grants, now);
    Ok(TableUse { used: sources.iter().filter(holds).count(), max: maps.sizes().grants as usize })
}

fn is_valid(grants: &knock_common::grant::SourceGrants, now: Boottime) -> bool {
    grants.all().iter().any(|grant| !grant.passed(now))
}
