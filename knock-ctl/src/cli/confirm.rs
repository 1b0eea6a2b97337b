//! `knock-ctl confirm`: keeps what `--confirm` would undo, once it is sure that a new session gets in.

use std::collections::HashSet;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use knock_common::event::EventKind;
use knock_common::grant::{Granted, GrantedBy};
use knock_common::port::{Port, PortRange};
use knock_common::rules::DoorId;
use knock_common::time::Deadline;
use nix::unistd::geteuid;

use super::filter::Filter;
use super::output;
use crate::config::duration::parse_duration;
use crate::config::ports::parse_range;
use crate::controller::{Request, SocketError, ask, completions};
use crate::datapath::{Maps, Unconfirmed};
use crate::runtime::{ChangeRecord, ControllerLock, RunState, RuntimeDirectory};
use crate::sessions::{Processes, Session, own_connections};
use crate::sockets::InboundConnection;

/// Keeps a change that waits to be confirmed
///
/// It counts when it is called from a session that began after the change, or when somebody has knocked since and the port of this
/// session was opened to them: then a new session gets in.
#[derive(Args, Debug)]
pub struct ConfirmArguments {
    /// Confirm without any sign that a new session gets in
    #[arg(long)]
    yes: bool,
}

/// How long a change waits: a second at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConfirmTime(Duration);

impl ConfirmTime {
    pub(super) const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for ConfirmTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);

        match parse_duration(text) {
            Some(duration) if (Duration::from_secs(1)..=DAY).contains(&duration) => Ok(Self(duration)),
            Some(_) => Err("a change waits for a second at least, and a day at most"),
            None => Err("a time is written as in 30s, 2m"),
        }
    }
}

pub(super) fn run(arguments: &ConfirmArguments) -> Result<ExitCode> {
    if !geteuid().is_root() {
        bail!("confirming needs root; run `sudo knock-ctl confirm`");
    }
    let Filter { mut maps, directory, state, .. } = Filter::open("confirm")?;
    let Some(change) = maps.unconfirmed()? else {
        bail!("no change of rules waits to be confirmed");
    };
    if change.time_left().is_none() {
        bail!("it is too late: {}", undone(&change));
    }
    if !arguments.yes {
        let signs = Signs::gather(&change, &maps, &directory, state.as_ref())?;
        signs.suffice().or_else(|reason| bail!("{reason}"))?;
    }
    match ask(&directory, &Request::Confirm) {
        Err(SocketError::NoController) => {
            // So that none begins meanwhile.
            let _lock = ControllerLock::acquire(&directory)?;
            if !maps.confirm()? {
                bail!("it is too late: {}", undone(&change));
            }
            ChangeRecord::remove(&directory);
        }
        answer => drop(answer?),
    }
    output::print("Confirmed: the rules in force stay.\n")?;
    Ok(ExitCode::SUCCESS)
}

fn undone(change: &Unconfirmed) -> &'static str {
    match change.fallback {
        Some(_) => "the change is undone, and the rules before hold again",
        None => "the change is undone, and nothing is filtered, as before",
    }
}

/// What tells whether a new session gets in under the rules that wait.
struct Signs {
    /// By which this command was called; empty: unknown.
    own: Vec<InboundConnection>,
    /// Cookies of the connections from before the change; `None`: unknown.
    before: Option<HashSet<u64>>,
    /// Ports that a knock has opened since.
    opened: Opened,
    /// Ports by which people work here now.
    interactive: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Opened {
    Ports(Vec<PortRange>),
    All,
}

impl Opened {
    fn contains(&self, port: Port) -> bool {
        match self {
            Self::Ports(ranges) => ranges.iter().any(|range| range.contains(port)),
            Self::All => true,
        }
    }
}

impl Signs {
    fn gather(
        change: &Unconfirmed,
        maps: &Maps,
        directory: &RuntimeDirectory,
        state: Option<&RunState>,
    ) -> Result<Self> {
        let record = ChangeRecord::load(directory, change.until)?;
        let doors = match &record {
            Some(record) => opened_since(record, maps)?,
            None => HashSet::new(),
        };
        let processes = Processes::read()?;
        let sessions = Session::all(&processes)?;
        let connections: Vec<InboundConnection> = sessions.iter().map(|session| session.connection).collect();
        Ok(Self {
            own: own_connections(&processes, std::process::id().cast_signed(), &connections),
            before: record.map(|record| record.connections.into_iter().collect()),
            opened: opened(&doors, state),
            interactive: sessions
                .iter()
                .filter(|session| session.interactive)
                .filter_map(Session::port)
                .collect(),
        })
    }

    /// `Err`: why they do not, and what to do.
    fn suffice(&self) -> Result<(), String> {
        const INSTEAD: &str = "Open a new session, as if none were there, and run `knock-ctl confirm` in it; or knock now from elsewhere \
                               and run it again. `knock-ctl confirm --yes` confirms all the same";

        let port_of = |connection: &InboundConnection| Port::tcp(connection.ends.local.1);
        let is_old = |connection: &&InboundConnection| {
            self.before.as_ref().is_none_or(|before| before.contains(&connection.cookie))
        };
        let Some(any) = self.own.first() else {
            if self.interactive.iter().any(|port| self.opened.contains(*port)) {
                return Ok(());
            }
            return Err(format!(
                "not confirmed: from here it can't be told by which session you came in (as in tmux, at a console or \
                 from cron), and nobody has knocked since. {INSTEAD}"
            ));
        };
        match self.own.iter().find(is_old) {
            None => Ok(()),
            Some(_) if port_of(any).is_some_and(|port| self.opened.contains(port)) => Ok(()),
            Some(old) => Err(format!(
                "not confirmed: this session, {} on {}/tcp, is older than the change, so it does not tell whether a new one \
                 gets in. {INSTEAD}",
                old.ends.remote.0, old.ends.local.1
            )),
        }
    }
}

/// The doors that have let somebody in since the change, other than an administrator did.
fn opened_since(record: &ChangeRecord, maps: &Maps) -> Result<HashSet<DoorId>> {
    let is_opening =
        |kind| matches!(EventKind::from_number(kind), Some(EventKind::Open | EventKind::Refresh));
    let completed = completions::read(maps, &record.completions)?.events.into_iter().filter(|event| {
        is_opening(event.kind) && Deadline::from_nanoseconds(event.deadline) != Deadline::PASSED
    });
    let mut doors: HashSet<DoorId> = completed.map(|event| event.door).collect();
    for grants in maps.all_grants()? {
        let since = grants.all().iter().filter(|grant| {
            grant.exists() && grant.granted_by() != GrantedBy::Admin && grant.granted_at() > record.made_at
        });
        doors.extend(since.filter_map(|grant| match grant.granted() {
            Granted::Door(door) => Some(door),
            Granted::Port(..) => None,
        }));
    }
    Ok(doors)
}

/// What these doors open.
fn opened(doors: &HashSet<DoorId>, state: Option<&RunState>) -> Opened {
    let by_id = state.map(RunState::by_id).unwrap_or_default();
    let names = doors.iter().filter_map(|id| by_id.get(id)).flat_map(|door| &door.opens);
    let mut ranges = Vec::new();
    for name in names {
        match parse_range(name) {
            Ok(range) => ranges.push(range),
            Err(_) => return Opened::All,
        }
    }
    Opened::Ports(ranges)
}

#[cfg(test)]
mod tests {
    use knock_common::address::Address;

    use super::*;
    use crate::sockets::Connection;

    fn connection(cookie: u64) -> InboundConnection {
        let ends = Connection {
            local: (Address::from_v4([192, 0, 2, 1]), 22),
            remote: (Address::from_v4([192, 0, 2, 7]), 40_000),
        };
        InboundConnection { ends, cookie, inode: 1 }
    }

    /// Signs where connection 1 was there before the change and somebody works by port 22.
    fn signs(own: &[u64], opened: &str) -> Signs {
        Signs {
            own: own.iter().copied().map(connection).collect(),
            before: Some(HashSet::from([1])),
            opened: Opened::Ports(vec![parse_range(opened).unwrap()]),
            interactive: vec![Port::tcp(22).unwrap()],
        }
    }

    #[test]
    fn a_new_session_or_a_knock_that_opens_its_port_suffices() {
        for (own, opened, suffices) in [
            (&[2][..], "443/tcp", true),
            (&[1], "443/tcp", false),
            (&[1], "20-30/tcp", true),
            (&[1], "22/udp", false),
            // Whoever has both may have been called by the old one.
            (&[2, 1], "443/tcp", false),
            (&[], "443/tcp", false),
            (&[], "22/tcp", true),
        ] {
            assert_eq!(signs(own, opened).suffice().is_ok(), suffices, "{own:?} {opened}");
        }
    }

    #[test]
    fn where_nothing_was_noted_no_session_is_new() {
        let signs = Signs { before: None, ..signs(&[2], "443/tcp") };
        assert!(signs.suffice().unwrap_err().contains("is older than the change"));
    }

    #[test]
    fn a_door_that_opens_all_opens_every_port() {
        let mut state = crate::cli::tests::state();
        let doors = HashSet::from([7]);
        assert_eq!(opened(&doors, Some(&state)), Opened::Ports(vec![parse_range("22/tcp").unwrap()]));
        state.doors[0].opens = vec!["any".to_owned()];
        assert_eq!(opened(&doors, Some(&state)), Opened::All);
        assert_eq!(opened(&doors, None), Opened::Ports(Vec::new()));
    }
}
