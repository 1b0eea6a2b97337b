//! `revoke`: ends what an address was granted.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use knock_common::address::Address;
use knock_common::grant::Granted;

use super::door_or_port::{DoorOrPort, Doors};
use super::filter::Filter;
use super::notify::notify_controller;
use super::output;
use crate::clock::boottime;

/// Ends what an address was granted, by a knock or otherwise; without a door or port also that it is held for scanning
#[derive(Args, Debug)]
pub struct RevokeArguments {
    /// The source's IPv4 or IPv6 address
    address: IpAddr,

    /// A door by its name, or a port that was granted by itself; all that the address holds unless said
    #[arg(value_name = "DOOR|PORT/PROTO")]
    what: Option<DoorOrPort>,
}

pub(super) fn run(arguments: &RevokeArguments) -> anyhow::Result<ExitCode> {
    let Filter { mut maps, directory, state, .. } = Filter::open("revoke")?;
    let doors = Doors::new(state.as_ref());
    let source = Address::from(arguments.address);
    let what = arguments.what.as_ref().map(|what| doors.granted(what)).transpose()?;
    let now = boottime();
    let ended = maps.revoke(&source, |granted| what.is_none_or(|what| what == granted), now)?;
    let released = what.is_none() && maps.release(&source, now)?;
    if !ended.is_empty() {
        notify_controller(&directory);
    }
    let left: Vec<Granted> = maps.grants_of(&source)?.map_or_else(Vec::new, |grants| {
        let valid = grants.all().iter().filter(|grant| !grant.passed(now));
        valid.map(|grant| grant.granted()).collect()
    });
    let released = if released { format!("{source} is held for scanning no more.\n") } else { String::new() };
    output::print(&format!("{}{released}", describe(source, what, &ended, &left, &doors)))?;
    Ok(ExitCode::SUCCESS)
}

/// What was ended, and what the source holds still.
fn describe(
    source: Address,
    what: Option<Granted>,
    ended: &[Granted],
    left: &[Granted],
    doors: &Doors,
) -> String {
    let names = |granted: &[Granted]| {
        let names: Vec<String> = granted.iter().map(|granted| doors.name(*granted)).collect();
        names.join(", ")
    };
    let done = match (ended, what) {
        ([], None) => format!("Nothing was granted to {source}.\n"),
        ([], Some(what)) => format!("{} was not granted to {source}.\n", doors.name(what)),
        (ended, _) => format!("Revoked {} from {source}.\n", names(ended)),
    };
    match left {
        [] => done,
        left => format!("{done}It still holds {}.\n", names(left)),
    }
}

#[cfg(test)]
mod tests {
    use knock_common::port::Protocol;

    use super::*;
    use crate::cli::tests::state;

    #[test]
    fn it_tells_what_changed_and_what_is_left() {
        let state = state();
        let doors = Doors::new(Some(&state));
        let source = Address::from_v4([192, 0, 2, 7]);
        let (ssh, port) = (Granted::Door(7), Granted::Port(Protocol::Tcp, 80));
        let cases = [
            (None, &[][..], &[][..], "Nothing was granted to 192.0.2.7.\n"),
            (Some(ssh), &[], &[], "ssh was not granted to 192.0.2.7.\n"),
            (Some(ssh), &[], &[port], "ssh was not granted to 192.0.2.7.\nIt still holds 80/tcp.\n"),
            (None, &[ssh, port], &[], "Revoked ssh, 80/tcp from 192.0.2.7.\n"),
            (Some(port), &[port], &[ssh], "Revoked 80/tcp from 192.0.2.7.\nIt still holds ssh.\n"),
        ];
        for (what, ended, left, expected) in cases {
            assert_eq!(describe(source, what, ended, left, &doors), expected);
        }
    }
}
