//! `grants`: who is let in, to what, for how long.

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use humantime::format_duration;
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::grant::{Grant, Granted, SourceGrants};
use knock_common::time::{Boottime, Deadline};
use serde::Serialize;

use super::door_or_port::Doors;
use super::filter::Filter;
use super::output;
use crate::clock::boottime;

/// Shows who is let in, to what, and for how long
#[derive(Args, Debug)]
pub struct GrantsArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &GrantsArguments) -> anyhow::Result<ExitCode> {
    let filter = Filter::open("grants")?;
    let doors = Doors::new(filter.state.as_ref());
    let grants =
        valid_grants(&filter.maps.all_grants()?, &doors, boottime(), |key| filter.maps.connections(key));
    let list = GrantList { grants };
    output::print(&if arguments.json { output::json(&list)? } else { list.to_text() })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct GrantList {
    grants: Vec<GrantReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct GrantReport {
    pub(super) address: IpAddr,
    /// `None`: of a port.
    pub(super) door: Option<String>,
    pub(super) opens: Vec<String>,
    /// `None`: until revoked.
    pub(super) expires_in_ms: Option<u64>,
    /// `None`: no limit.
    pub(super) connections_left: Option<u32>,
    pub(super) by: &'static str,
}

/// In the order of addresses, whatever has passed left out.
pub(super) fn valid_grants(
    sources: &[SourceGrants],
    doors: &Doors,
    now: Boottime,
    connections: impl Fn(ConnectionsKey) -> Option<Connections>,
) -> Vec<GrantReport> {
    let mut reports: Vec<GrantReport> = Vec::new();
    for source in sources {
        let valid = source.all().iter().filter(|grant| !grant.passed(now));
        reports.extend(valid.map(|grant| report(source, grant, doors, now, &connections)));
    }
    reports.sort_unstable();
    reports
}

fn report(
    source: &SourceGrants,
    grant: &Grant,
    doors: &Doors,
    now: Boottime,
    connections: impl Fn(ConnectionsKey) -> Option<Connections>,
) -> GrantReport {
    let granted = grant.granted();
    let (door, connections_left) = match granted {
        Granted::Port(..) => (None, None),
        Granted::Door(id) => {
            let limited = doors.get(id).is_some_and(|door| door.connections != 0);
            let key = ConnectionsKey { source: source.source(), door: id, padding: 0 };
            // Where nothing is counted, the filter lets no connection in.
            let left = || connections(key).map_or(0, |connections| connections.left(now));
            (Some(doors.door_name(id)), limited.then(left))
        }
    };
    GrantReport {
        address: source.source().to_ip(),
        door,
        opens: doors.opens(granted),
        expires_in_ms: time_left(grant.deadline(), now).map(|left| left.as_millis() as u64),
        connections_left,
        by: grant.granted_by().name(),
    }
}

/// `None`: for ever.
pub(super) fn time_left(deadline: Deadline, now: Boottime) -> Option<Duration> {
    let left = || Duration::from_nanos(deadline.nanoseconds().saturating_sub(now.nanoseconds()));
    (deadline != Deadline::FOREVER).then(left)
}

/// "for 1h 5m", "until revoked"; in whole seconds, begun ones counted.
pub(super) fn in_words(left: Option<Duration>) -> String {
    match left {
        Some(left) => {
            let seconds = left.as_millis().div_ceil(1000) as u64;
            format!("for {}", format_duration(Duration::from_secs(seconds)))
        }
        None => "until revoked".to_owned(),
    }
}

impl GrantList {
    fn to_text(&self) -> String {
        if self.grants.is_empty() {
            return "Nobody is let in by a grant.\n".to_owned();
        }
        let header = ["ADDRESS", "DOOR", "OPENS", "HOLDS", "CONNECTIONS LEFT", "BY"];
        let rows = self.grants.iter().map(|grant| {
            let opens = match &grant.opens[..] {
                [] => "-".to_owned(),
                ports => ports.join(", "),
            };
            [
                grant.address.to_string(),
                grant.door.clone().unwrap_or_else(|| "-".to_owned()),
                opens,
                in_words(grant.expires_in_ms.map(Duration::from_millis)),
                grant.connections_left.map_or_else(|| "any".to_owned(), |left| left.to_string()),
                grant.by.to_owned(),
            ]
        });
        output::table(header, rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use knock_common::address::Address;
    use knock_common::grant::GrantedBy;
    use knock_common::port::Protocol;
    use knock_common::search::Search;
    use serde_json::json;

    use super::*;
    use crate::cli::tests::state;

    const NOW: Boottime = Boottime::from_milliseconds(100_000);

    fn source(address: [u8; 4], grants: &[(Granted, GrantedBy, u64)]) -> SourceGrants {
        let mut source = SourceGrants::none(Address::from_v4(address));
        for &(granted, by, milliseconds) in grants {
            let deadline = match milliseconds {
                0 => Deadline::FOREVER,
                _ => Deadline::at(Boottime::from_milliseconds(milliseconds)),
            };
            source.grant(
                granted,
                by,
                deadline,
                Boottime::from_milliseconds(1),
                &Search::<AtomicU64>::default(),
            );
        }
        source
    }

    fn list() -> GrantList {
        let sources = [
            source([192, 0, 2, 10], &[(Granted::Door(7), GrantedBy::Knock, 128_750)]),
            source(
                [192, 0, 2, 9],
                &[
                    (Granted::Door(8), GrantedBy::Knock, 3_700_000),
                    (Granted::Port(Protocol::Udp, 53), GrantedBy::Admin, 0),
                    (Granted::Door(7), GrantedBy::Knock, 100_000),
                    (Granted::Door(0xbeef), GrantedBy::Approve, 101_000),
                ],
            ),
        ];
        let state = state();
        let connections = |key: ConnectionsKey| (key.door == 8).then(|| Connections::new(1));
        GrantList { grants: valid_grants(&sources, &Doors::new(Some(&state)), NOW, connections) }
    }

    #[test]
    fn the_json_form_has_valid_grants_alone_in_order() {
        let expected = json!({ "version": 1, "grants": [
            { "address": "192.0.2.9", "door": null, "opens": ["53/udp"], "expires_in_ms": null,
              "connections_left": null, "by": "admin" },
            { "address": "192.0.2.9", "door": "once", "opens": ["443/tcp", "8000-8010/udp"],
              "expires_in_ms": 3_600_000, "connections_left": 1, "by": "knock" },
            { "address": "192.0.2.9", "door": "unknown-0000beef", "opens": [], "expires_in_ms": 1000,
              "connections_left": null, "by": "approve" },
            { "address": "192.0.2.10", "door": "ssh", "opens": ["22/tcp"], "expires_in_ms": 28_750,
              "connections_left": null, "by": "knock" },
        ]});
        let text = output::json(&list()).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    }

    #[test]
    fn the_text_form_tells_the_same_in_words() {
        let expected = "\
ADDRESS     DOOR              OPENS                   HOLDS          CONNECTIONS LEFT  BY
192.0.2.9   -                 53/udp                  until revoked  any               admin
192.0.2.9   once              443/tcp, 8000-8010/udp  for 1h         1                 knock
192.0.2.9   unknown-0000beef  -                       for 1s         any               approve
192.0.2.10  ssh               22/tcp                  for 29s        any               knock
";
        assert_eq!(list().to_text(), expected);
        assert_eq!(GrantList { grants: Vec::new() }.to_text(), "Nobody is let in by a grant.\n");
    }

    #[test]
    fn a_limited_grant_whose_connections_nobody_counts_lets_none_in() {
        let sources = [source([192, 0, 2, 9], &[(Granted::Door(8), GrantedBy::Knock, 0)])];
        let state = state();
        let grants = valid_grants(&sources, &Doors::new(Some(&state)), NOW, |_| None);
        assert_eq!(grants[0].connections_left, Some(0));
    }
}
