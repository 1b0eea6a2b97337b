//! `status`: whether the filter is attached, under which rules, and how full it is.

mod report;
mod text;

use std::process::ExitCode;

use clap::Args;
use knock_common::address::Address;
use knock_common::grant::SourceGrants;
use knock_common::rules::RuleOption;
use knock_common::time::Boottime;

use super::filter::Filter;
use super::output;
use crate::clock::boottime;
use crate::config;
use crate::datapath::{FilteredInterface, Pins, TableUse, filtered_interfaces};
use crate::metrics::{self, Sample};
use crate::runtime::{ConfigState, RuntimeDirectory, running_controller};
use report::{
    ConfigReport, ControllerReport, CountersReport, DoorReport, HeldReport, InterfaceReport, Lapsed,
    StatusReport, TableReport, TablesReport,
};

/// Shows whether the filter is attached, under which rules, and how full it is
///
/// Exit status: 0 attached, 3 not attached, 4 attached with no controller; with --prometheus 0.
#[derive(Args, Debug)]
pub struct StatusArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Print metrics, for a textfile collector; what only the controller counts is at its metrics.listen
    #[arg(long, conflicts_with = "json")]
    prometheus: bool,
}

pub(super) fn run(arguments: &StatusArguments) -> anyhow::Result<ExitCode> {
    if arguments.prometheus {
        return print_metrics();
    }
    let report = match Filter::open_if_attached("status")? {
        Some(filter) => look_at(&filter)?,
        None => StatusReport::without_filter(controller(&RuntimeDirectory::of_this_namespace()?)),
    };
    output::print(&if arguments.json { output::json(&report)? } else { report.to_text() })?;
    Ok(report.attachment().exit_code())
}

/// That there is no filter or no controller is a metric, and no failure of whoever collects it.
fn print_metrics() -> anyhow::Result<ExitCode> {
    let sample = match Filter::open_if_attached("status")? {
        Some(filter) => Sample::take(&filter.pins, &filter.maps, &filter.directory)?,
        None => Sample::without_filter(&RuntimeDirectory::of_this_namespace()?),
    };
    output::print(&metrics::to_text(&sample, None)?)?;
    Ok(ExitCode::SUCCESS)
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

fn interfaces(pins: &Pins) -> Vec<InterfaceReport> {
    let report = |FilteredInterface { name, index, mode, program_id }| InterfaceReport {
        name,
        index,
        mode,
        program_id,
    };
    filtered_interfaces(pins).into_iter().map(report).collect()
}

fn controller(directory: &RuntimeDirectory) -> Option<ControllerReport> {
    running_controller(directory).map(|pid| ControllerReport { pid })
}

fn valid_grants(sources: &[SourceGrants], now: Boottime) -> usize {
    let grants = sources.iter().flat_map(SourceGrants::all);
    grants.filter(|grant| !grant.passed(now)).count()
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
        differs_from_disk: config::differs_from_disk(&state.path, &state.sha256),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use knock_common::grant::{Granted, GrantedBy};
    use knock_common::search::Search;
    use knock_common::time::Deadline;

    use super::*;

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
