//! `status`: whether the filter is attached, under which rules, and how full it is.

mod report;
mod text;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use knock_common::address::Address;
use knock_common::grant::SourceGrants;
use knock_common::rules::RuleOption;
use knock_common::time::Boottime;
use nix::net::if_::if_indextoname;

use super::filter::Filter;
use super::output;
use crate::clock::boottime;
use crate::config;
use crate::datapath::{Pins, TableUse, attached};
use crate::interface::{XdpMode, attached_programs};
use crate::runtime::{ConfigState, RuntimeDirectory, running_controller};
use report::{
    ConfigReport, ControllerReport, CountersReport, DoorReport, HeldReport, InterfaceReport, Lapsed,
    StatusReport, TableReport, TablesReport,
};

/// Shows whether the filter is attached, under which rules, and how full it is
///
/// Exit status: 0 attached, 3 not attached, 4 attached with no controller.
#[derive(Args, Debug)]
pub struct StatusArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &StatusArguments) -> anyhow::Result<ExitCode> {
    let report = match Filter::open_if_attached("status")? {
        Some(filter) => look_at(&filter)?,
        None => StatusReport::without_filter(controller(&RuntimeDirectory::of_this_namespace()?)),
    };
    output::print(&if arguments.json { output::json(&report)? } else { report.to_text() })?;
    Ok(report.attachment().exit_code())
}

fn look_at(filter: &Filter) -> anyhow::Result<StatusReport> {
    let Filter { pins, maps, directory, state } = filter;
    let now = boottime();
    let sizes = maps.sizes();
    let grants = valid_grants(&maps.all_grants()?, now);
    let doors = state.iter().flat_map(|state| &state.doors).map(|door| DoorReport {
        name: door.name.clone(),
        steps: door.steps,
        opens: door.opens.clone(),
        opened: maps.openings(door.id),
    });
    let unconfirmed = maps.unconfirmed()?;
    let lapsed =
        unconfirmed.filter(|change| change.time_left().is_none()).map(|change| match change.fallback {
            Some(_) => Lapsed::ToRulesBefore,
            None => Lapsed::ToNothing,
        });
    let confirm_in = unconfirmed.and_then(|change| change.time_left());
    let enforce = match lapsed {
        Some(Lapsed::ToNothing) => None,
        _ => Some(maps.active_rules()?.has(RuleOption::Enforce)),
    };
    Ok(StatusReport {
        interfaces: interfaces(pins),
        controller: controller(directory),
        confirm_in_ms: confirm_in.map(|left| left.as_millis() as u64),
        lapsed,
        policy: state.as_ref().map(|state| state.policy.clone()),
        enforce,
        config: state.as_ref().map(|state| config_report(&state.config)),
        doors: doors.collect(),
        held: maps.held_in_effect(now)?.into_iter().map(|(source, until)| held(source, until, now)).collect(),
        tables: TablesReport {
            grants: TableReport { used: grants, max: sizes.grants as usize },
            attempts: table(maps.attempts_use(now)?),
            flows: table(maps.flows_use(now)),
            outgoing: table(maps.outgoing_use(now)),
        },
        counters: CountersReport::new(&maps.counters()?),
    })
}

/// Those that the filter is on at this moment: a link outlives its interface, and then filters nothing.
fn interfaces(pins: &Pins) -> Vec<InterfaceReport> {
    let on_interface = |index| {
        let program_id = attached(pins, index)?.program_id;
        let program = attached_programs(index).ok()?.into_iter().find(|program| program.id == program_id)?;
        let mode = match program.mode {
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
            XdpMode::Offloaded => "offloaded",
        };
        let name = if_indextoname(index).ok()?.to_string_lossy().into_owned();
        Some(InterfaceReport { name, index, mode, program_id })
    };
    pins.linked_interfaces().into_iter().filter_map(on_interface).collect()
}

fn controller(directory: &RuntimeDirectory) -> Option<ControllerReport> {
    running_controller(directory).map(|pid| ControllerReport { pid })
}

fn valid_grants(sources: &[SourceGrants], now: Boottime) -> usize {
    let grants = sources.iter().flat_map(SourceGrants::all);
    grants.filter(|grant| !grant.deadline().passed(now)).count()
}

fn held(source: Address, until: Boottime, now: Boottime) -> HeldReport {
    let expires_in_ms = until.milliseconds().saturating_sub(now.milliseconds());
    HeldReport { address: source.to_ip(), expires_in_ms }
}

fn table(table: TableUse) -> TableReport {
    TableReport { used: table.used, max: table.max }
}

fn config_report(state: &ConfigState) -> ConfigReport {
    ConfigReport {
        path: state.path.clone(),
        sha256: state.sha256.clone(),
        loaded_at: state.loaded_at.clone(),
        differs_from_disk: differs(&state.path, &state.sha256),
    }
}

/// Whether the files would give another configuration than that of this hash, or none.
fn differs(path: &Path, sha256: &str) -> bool {
    config::load(path).map_or(true, |loaded| loaded.sha256 != sha256)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::AtomicU64;

    use knock_common::grant::{Granted, GrantedBy};
    use knock_common::search::Search;
    use knock_common::time::Deadline;

    use super::*;

    #[test]
    fn a_configuration_that_changed_is_invalid_or_is_gone_differs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("knock.toml");
        let text = "[doors.ssh]\nsequence = [31207, 5481, 60123]\nopens = [\"22/tcp\"]\n";
        fs::write(&path, text).unwrap();
        let sha256 = config::load(&path).unwrap().sha256;
        assert!(!differs(&path, &sha256));
        fs::write(&path, format!("{text}# later\n")).unwrap();
        assert!(differs(&path, &sha256));
        fs::write(&path, "doors = 1\n").unwrap();
        assert!(differs(&path, &sha256));
        fs::remove_file(&path).unwrap();
        assert!(differs(&path, &sha256));
    }

    #[test]
    fn only_grants_that_hold_are_counted_and_each_door_of_a_source() {
        let now = Boottime::from_milliseconds(100_000);
        let mut source = SourceGrants::none(Address::from_v4([192, 0, 2, 7]));
        for (door, milliseconds) in [(1, 100_000), (2, 100_001), (3, 200_000)] {
            let deadline = Deadline::at(Boottime::from_milliseconds(milliseconds));
            let start = Boottime::from_milliseconds(1);
            source.grant(
                Granted::Door(door),
                GrantedBy::Knock,
                deadline,
                start,
                &Search::<AtomicU64>::default(),
            );
        }
        assert_eq!(valid_grants(&[source, source], now), 4);
    }
}
