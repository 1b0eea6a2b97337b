//! `why`: what the filter knows of a source, and what it would do with its next packet.

mod broken_off;
mod next;
mod ports;
mod report;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use knock_common::address::Address;
use knock_common::attempt::{Attempt, is_within};
use knock_common::flow::{Flow, HALF_OPEN_LIFE, Phase};
use knock_common::grant::SourceGrants;
use knock_common::port::Port;
use knock_common::rules::{DoorId, ROOT, Slot, StateId, TRUST_EVERY_PORT, steps_taken};
use knock_common::time::Boottime;

use super::door_or_port::{Doors, port_argument};
use super::filter::Filter;
use super::{grants, output};
use crate::clock::boottime;
use crate::rules::Compiled;
use broken_off::BrokenOffReport;
use next::Judge;
use report::{AttemptReport, ConnectionsReport, Trusted, Unanswered, WhyReport};

/// Shows what the filter knows of a source, and what it would do with its next packet, and by which rule
///
/// The packet is a SYN or datagram that begins something new. Works with no controller running.
#[derive(Args, Debug)]
pub struct WhyArguments {
    #[arg(value_name = "ADDR")]
    address: IpAddr,

    /// Without one, a port of each kind that the rules tell apart
    #[arg(value_name = "PORT/PROTO", value_parser = port_argument)]
    port: Option<Port>,

    /// The address of this machine that the packet is sent to; without it, the one that this machine would answer from
    #[arg(long, value_name = "ADDR")]
    to: Option<IpAddr>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How long a connection may be half-open before that is worth a word, in milliseconds.
const SLOW_MS: u64 = 1000;

pub(super) fn run(arguments: &WhyArguments) -> anyhow::Result<ExitCode> {
    let filter = Filter::open("why")?;
    let Some(slot) = filter.maps.slot_in_force()? else {
        bail!("no rules are in force, as they were not confirmed in time: everything passes");
    };
    let report = look_at(&filter, slot, arguments)?;
    output::print(&if arguments.json { output::json(&report)? } else { report.to_text() })?;
    Ok(ExitCode::SUCCESS)
}

fn look_at(filter: &Filter, slot: Slot, arguments: &WhyArguments) -> anyhow::Result<WhyReport> {
    let address = arguments.address.to_canonical();
    let to = match arguments.to {
        Some(to) => to.to_canonical(),
        None => answering_address(address)?,
    };
    if address.is_ipv4() != to.is_ipv4() {
        bail!("{address} and {to} are not of one family");
    }
    let maps = &filter.maps;
    let (source, now) = (Address::from(address), boottime());
    let doors = Doors::new(filter.state.as_ref());
    let rules = maps.read_back(slot)?;
    let kept = maps.attempt_of(&source)?;
    let attempt = Some(kept).filter(Attempt::exists);
    let granted = maps.grants_of(&source)?;
    let flows = maps.flows_of(&source, now)?;
    let held = maps.held_in_effect(now)?.into_iter().find(|(held, _)| *held == source);
    let probes = match arguments.port {
        Some(port) => vec![ports::Probe::of(port)],
        None => ports::probes(&rules.ports),
    };
    let attempt_report = attempt.and_then(|attempt| describe(&attempt, &rules, &doors, now));
    let broken_off = kept.broken_by().map(|by| BrokenOffReport::new(&by, &rules, &doors, now));
    let mut judge = Judge {
        maps,
        tables: maps.tables_in_memory(rules)?,
        source: address,
        to,
        // A knock of the same client: a door may want it from no farther away.
        hop_limit: attempt.map_or(64, |attempt| attempt.hop_limit),
        doors: &doors,
    };
    let next = probes.into_iter().map(|probe| judge.next(probe)).collect::<anyhow::Result<_>>()?;
    Ok(WhyReport {
        address,
        to,
        trusted: maps.trust(slot, source)?.map(|trust| match trust {
            TRUST_EVERY_PORT => Trusted::EveryPort,
            _ => Trusted::SomePorts,
        }),
        held_for_ms: held.map(|(_, until)| until.milliseconds().saturating_sub(now.milliseconds())),
        attempt: attempt_report,
        broken_off,
        grants: grants::valid_grants(granted.as_slice(), &doors, now, |key| maps.connections(key)),
        connections: ConnectionsReport::of(&flows),
        unanswered: unanswered(&flows, granted.as_ref(), &doors, now),
        next,
    })
}

/// The kernel says which of its addresses it would speak from; nothing is sent.
fn answering_address(source: IpAddr) -> anyhow::Result<IpAddr> {
    const ANY_PORT: u16 = 9;

    let unspecified: IpAddr = if source.is_ipv4() { [0u8; 4].into() } else { [0u8; 16].into() };
    let address = UdpSocket::bind(SocketAddr::new(unspecified, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(source, ANY_PORT))?;
        socket.local_addr()
    });
    match address {
        Ok(address) => Ok(address.ip()),
        Err(error) => {
            bail!("this machine has no way to {source} ({error}); say with --to where the packet is sent")
        }
    }
}

/// `None`: it is over, or of doors that are no more.
fn describe(attempt: &Attempt, rules: &Compiled, doors: &Doors, now: Boottime) -> Option<AttemptReport> {
    let (_, state) = rules.states.iter().find(|(key, _)| key.state == attempt.state)?;
    if !is_within(now.milliseconds(), attempt.started, state.timeout) {
        return None;
    }
    let elapsed = now.milliseconds().saturating_sub(attempt.started);
    Some(AttemptReport {
        doors: candidates(attempt.state, rules)
            .into_iter()
            .chain((state.complete != 0).then_some(state.representative))
            .map(|door| doors.door_name(door))
            .collect::<BTreeSet<String>>()
            .into_iter()
            .collect(),
        steps: steps_taken(attempt.state),
        complete: state.complete != 0,
        begun_ms_ago: elapsed,
        expires_in_ms: u64::from(state.timeout).saturating_sub(elapsed),
    })
}

/// The doors that the right knocks from here on would open.
fn candidates(state: StateId, rules: &Compiled) -> BTreeSet<DoorId> {
    let mut ways: HashMap<StateId, Vec<(StateId, DoorId)>> = HashMap::new();
    for (key, edge) in &rules.edges {
        ways.entry(key.state).or_default().push((edge.next, edge.completes));
    }
    let (mut doors, mut seen, mut ahead) = (BTreeSet::new(), BTreeSet::new(), vec![state]);
    while let Some(state) = ahead.pop() {
        for &(next, completes) in ways.get(&state).into_iter().flatten() {
            if completes != 0 {
                doors.insert(completes);
            }
            if next != ROOT && seen.insert(next) {
                ahead.push(next);
            }
        }
    }
    doors
}

/// Connections that the filter let in, and of whose client nothing more was heard.
fn unanswered(
    flows: &[Flow],
    granted: Option<&SourceGrants>,
    doors: &Doors,
    now: Boottime,
) -> Vec<Unanswered> {
    let since = |flow: &Flow| (now.milliseconds() + HALF_OPEN_LIFE).saturating_sub(flow.deadline);
    let grant = |flow: &Flow| granted?.all().get(flow.grant.index()).filter(|grant| grant.exists()).copied();
    flows
        .iter()
        .filter(|flow| flow.phase == Phase::HalfOpen && since(flow) > SLOW_MS)
        .map(|flow| Unanswered {
            granted: grant(flow).map(|grant| doors.name(grant.granted())),
            since_ms: since(flow),
        })
        .collect()
}
