//! `grant`: lets an address in as if it had knocked.

use std::net::IpAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use knock_common::address::Address;
use knock_common::grant::{Change, GRANTS_PER_SOURCE, Granted, GrantedBy};
use knock_common::tables::TableFull;
use knock_common::time::{Boottime, Deadline};

use super::door_or_port::{DoorOrPort, Doors};
use super::filter::Filter;
use super::grants::{in_words, time_left};
use super::notify::notify_controller;
use super::output;
use crate::clock::boottime;
use crate::config::OpenFor;
use crate::config::duration::parse_duration;
use crate::runtime::DoorState;

/// Lets an address in, as if it had knocked
#[derive(Args, Debug)]
pub struct GrantArguments {
    /// The source's IPv4 or IPv6 address
    address: IpAddr,

    /// A door by its name, or a port, such as 22/tcp
    #[arg(value_name = "DOOR|PORT/PROTO")]
    what: DoorOrPort,

    /// How long: 30s, 1h, 5d, or "forever": until revoked [default: the door's open_for; 1h for a port]
    #[arg(long = "for", value_name = "TIME")]
    open_for: Option<GrantTime>,
}

/// The time of a grant on the command line; more than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GrantTime(OpenFor);

impl FromStr for GrantTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "forever" {
            return Ok(Self(OpenFor::Forever));
        }
        match parse_duration(text) {
            Some(Duration::ZERO) => Err("a grant of no time is none; `knock-ctl revoke` ends one"),
            Some(duration) => Ok(Self(OpenFor::For(duration))),
            None => Err("a time is written as in 30s, 10m, 1h, 5d, or \"forever\""),
        }
    }
}

const PORT_OPEN_FOR: OpenFor = OpenFor::For(Duration::from_secs(60 * 60));

pub(super) fn run(arguments: &GrantArguments) -> anyhow::Result<ExitCode> {
    let Filter { mut maps, directory, state, .. } = Filter::open("grant")?;
    let doors = Doors::new(state.as_ref());
    let source = Address::from(arguments.address);
    let door = match &arguments.what {
        DoorOrPort::Door(name) => Some(doors.find(name)?),
        DoorOrPort::Port(_) => None,
    };
    let granted = doors.granted(&arguments.what)?;
    let now = boottime();
    let deadline = deadline(arguments.open_for.map(|time| time.0), door, now);
    let change = match door {
        Some(door) => maps
            .grant_door(&source, door.id, door.connections, GrantedBy::Admin, deadline, now)
            .with_context(|| format!("{} is not granted to {source}", door.name))?,
        None => maps.grant(&source, granted, GrantedBy::Admin, deadline, now)?,
    };
    let told = describe(change, source, deadline, now, &doors, granted)?;
    notify_controller(&directory);
    output::print(&told)?;
    Ok(ExitCode::SUCCESS)
}

fn deadline(asked: Option<OpenFor>, door: Option<&DoorState>, now: Boottime) -> Deadline {
    let open_for = asked.unwrap_or_else(|| match door {
        Some(DoorState { open_for_ms: Some(milliseconds), .. }) => {
            OpenFor::For(Duration::from_millis(*milliseconds))
        }
        Some(_) => OpenFor::Forever,
        None => PORT_OPEN_FOR,
    });
    match open_for {
        OpenFor::For(duration) => {
            let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            Deadline::at(now.plus_nanoseconds(nanoseconds))
        }
        OpenFor::Forever => Deadline::FOREVER,
    }
}

/// One line for what was done; an error where nothing was.
fn describe(
    change: Result<Change, TableFull>,
    source: Address,
    asked: Deadline,
    now: Boottime,
    doors: &Doors,
    granted: Granted,
) -> anyhow::Result<String> {
    let name = doors.name(granted);
    let what = match &doors.opens(granted)[..] {
        [] => format!("{name} (opens no port itself)"),
        [port] if *port == name => name,
        ports => format!("{name} ({})", ports.join(", ")),
    };
    let time = |deadline| in_words(time_left(deadline, now));
    match change {
        Ok(Change::Opened(deadline)) => Ok(format!("Granted {what} to {source} {}.\n", time(deadline))),
        Ok(Change::Extended { deadline, .. }) if deadline > asked => Ok(format!(
            "{source} holds {what} {} already, which is longer; to shorten that, revoke it first.\n",
            time(deadline)
        )),
        Ok(Change::Extended { deadline, .. }) => {
            Ok(format!("{source} holds {what} anew: {}.\n", time(deadline)))
        }
        Ok(Change::Full) => Err(anyhow!(
            "{source} holds {GRANTS_PER_SOURCE} grants, and one source may not hold more; \
             end one of them: `knock-ctl revoke {source} DOOR`"
        )),
        Err(TableFull) => Err(anyhow!(
            "the table of grants is full; revoke some (`knock-ctl grants` lists them), or raise `grants` in [limits], \
             run `knock-ctl detach` and attach anew"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::state;

    const NOW: Boottime = Boottime::from_milliseconds(100_000);

    fn after(seconds: u64) -> Deadline {
        Deadline::at(Boottime::from_milliseconds(100_000 + seconds * 1000))
    }

    #[test]
    fn a_time_is_a_duration_or_for_ever() {
        assert_eq!("90s".parse(), Ok(GrantTime(OpenFor::For(Duration::from_secs(90)))));
        assert_eq!("forever".parse(), Ok(GrantTime(OpenFor::Forever)));
        for text in ["0s", "", "soon", "-1s"] {
            assert!(text.parse::<GrantTime>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn without_a_time_the_door_says_how_long() {
        let state = state();
        assert_eq!(deadline(None, state.door("ssh"), NOW), after(30));
        assert_eq!(deadline(None, state.door("gate"), NOW), Deadline::FOREVER);
        assert_eq!(deadline(None, None, NOW), after(3600));
        let asked = Some(OpenFor::For(Duration::from_secs(5)));
        assert_eq!(deadline(asked, state.door("gate"), NOW), after(5));
        assert_eq!(deadline(Some(OpenFor::For(Duration::MAX)), None, NOW), Deadline::FOREVER);
    }

    #[test]
    fn each_outcome_has_its_sentence() {
        let state = state();
        let doors = Doors::new(Some(&state));
        let source = Address::from_v4([192, 0, 2, 7]);
        let ssh = Granted::Door(7);
        let tell = |change, granted| describe(change, source, after(30), NOW, &doors, granted);
        let cases = [
            (tell(Ok(Change::Opened(after(30))), ssh), "Granted ssh (22/tcp) to 192.0.2.7 for 30s.\n"),
            (
                tell(
                    Ok(Change::Opened(Deadline::FOREVER)),
                    Granted::Port(knock_common::port::Protocol::Udp, 53),
                ),
                "Granted 53/udp to 192.0.2.7 until revoked.\n",
            ),
            (
                tell(Ok(Change::Opened(after(30))), Granted::Door(9)),
                "Granted gate (opens no port itself) to 192.0.2.7 for 30s.\n",
            ),
            (
                tell(Ok(Change::Extended { deadline: after(30), again: false }), ssh),
                "192.0.2.7 holds ssh (22/tcp) anew: for 30s.\n",
            ),
            (
                tell(Ok(Change::Extended { deadline: after(60), again: false }), ssh),
                "192.0.2.7 holds ssh (22/tcp) for 1m already, which is longer; to shorten that, revoke it first.\n",
            ),
        ];
        for (told, expected) in cases {
            assert_eq!(told.unwrap(), expected);
        }
        let full = tell(Ok(Change::Full), ssh).unwrap_err().to_string();
        assert!(full.starts_with("192.0.2.7 holds 8 grants") && full.contains("knock-ctl revoke 192.0.2.7"));
        assert!(
            tell(Err(TableFull), ssh)
                .unwrap_err()
                .to_string()
                .contains("the table of grants is full; revoke")
        );
    }
}
