//! `drops`: what is being dropped.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::door_or_port::port_name;
use super::filter::Filter;
use super::output;
use knock_common::drops::DropCount;

/// Shows what is being dropped: the reason, the port, how often, and the last source
#[derive(Args, Debug)]
pub struct DropsArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &DropsArguments) -> anyhow::Result<ExitCode> {
    let filter = Filter::open("drops")?;
    let list = DropList { drops: filter.maps.drops()?.iter().map(DropReport::from).collect() };
    output::print(&if arguments.json { output::json(&list)? } else { list.to_text() })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct DropList {
    drops: Vec<DropReport>,
}

#[derive(Debug, Serialize)]
struct DropReport {
    reason: &'static str,
    /// `None`: unknown.
    port: Option<String>,
    count: u64,
    last_source: IpAddr,
}

impl From<&DropCount> for DropReport {
    fn from(drop: &DropCount) -> Self {
        Self {
            reason: drop.reason.name(),
            port: drop.port.map(|(protocol, number)| port_name(protocol, number)),
            count: drop.packets,
            last_source: drop.last_source.to_ip(),
        }
    }
}

impl DropList {
    fn to_text(&self) -> String {
        if self.drops.is_empty() {
            return "Nothing has been dropped.\n".to_owned();
        }
        let rows = self.drops.iter().map(|drop| {
            [
                drop.reason.to_owned(),
                drop.port.clone().unwrap_or_else(|| "-".to_owned()),
                drop.count.to_string(),
                drop.last_source.to_string(),
            ]
        });
        output::table(["REASON", "PORT", "COUNT", "LAST SOURCE"], rows)
    }
}

#[cfg(test)]
mod tests {
    use knock_common::address::Address;
    use knock_common::port::Protocol;
    use knock_common::reason::Reason;
    use serde_json::json;

    use super::*;

    fn list() -> DropList {
        let last_source = Address::from_v4([192, 0, 2, 7]);
        let drops = [
            DropCount {
                reason: Reason::NoGrant,
                port: Some((Protocol::Tcp, 22)),
                packets: 1234,
                last_source,
            },
            DropCount { reason: Reason::Malformed, port: None, packets: 1, last_source },
        ];
        DropList { drops: drops.iter().map(DropReport::from).collect() }
    }

    #[test]
    fn the_json_form_has_every_member() {
        let expected = json!({ "version": 1, "drops": [
            { "reason": "no_grant", "port": "22/tcp", "count": 1234, "last_source": "192.0.2.7" },
            { "reason": "malformed", "port": null, "count": 1, "last_source": "192.0.2.7" },
        ]});
        let text = output::json(&list()).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    }

    #[test]
    fn the_text_form_is_a_table_or_a_sentence() {
        let expected = "\
REASON     PORT    COUNT  LAST SOURCE
no_grant   22/tcp  1234   192.0.2.7
malformed  -       1      192.0.2.7
";
        assert_eq!(list().to_text(), expected);
        assert_eq!(DropList { drops: Vec::new() }.to_text(), "Nothing has been dropped.\n");
    }
}
