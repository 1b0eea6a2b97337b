//! What can be granted and revoked, as it is written and shown.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use knock_common::grant::Granted;
use knock_common::port::{Port, Protocol};
use knock_common::rules::DoorId;

use crate::config::DoorName;
use crate::config::ports::parse_port;
use crate::runtime::{DoorState, RunState};

/// A door by its name, or a port that no door need open: `ssh`, `22/tcp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoorOrPort {
    Door(DoorName),
    Port(Port),
}

impl FromStr for DoorOrPort {
    type Err = String;

    /// No door's name has what stands between a port and its protocol.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(['/', ':']) {
            port_argument(text).map(Self::Port)
        } else {
            text.parse().map(Self::Door).map_err(|error| format!("{error}; a port is written as in 22/tcp"))
        }
    }
}

impl fmt::Display for DoorOrPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Door(name) => name.fmt(f),
            Self::Port(port) => port.fmt(f),
        }
    }
}

/// A port as the command line names it.
pub(super) fn port_argument(text: &str) -> Result<Port, String> {
    parse_port(text, None).map_err(|error| format!("{error}; {}", error.help()))
}

/// The doors that the rules in force have, by name and by identity.
pub(super) struct Doors<'a> {
    state: Option<&'a RunState>,
    by_id: HashMap<DoorId, &'a DoorState>,
}

/// Before the identity of a door that no rule has any more.
const UNKNOWN: &str = "unknown-";

impl<'a> Doors<'a> {
    pub(super) fn new(state: Option<&'a RunState>) -> Self {
        Self { state, by_id: state.map(RunState::by_id).unwrap_or_default() }
    }

    pub(super) fn get(&self, id: DoorId) -> Option<&'a DoorState> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn find(&self, name: &DoorName) -> anyhow::Result<&'a DoorState> {
        let state =
            self.state.context("which doors there are is not known, as no controller has run here")?;
        if let Some(door) = state.door(name.as_str()) {
            return Ok(door);
        }
        if let Ok(Some(port)) = name.as_str().parse().map(Port::tcp) {
            bail!("there is no door {name}; the port is written {port}");
        }
        let names: Vec<&str> = state.doors.iter().map(|door| door.name.as_str()).collect();
        match names[..] {
            [] => bail!("there is no door {name}, and no other"),
            _ => bail!("there is no door {name}, only {}", names.join(", ")),
        }
    }

    /// What a grant of it is of; also for a door that is shown as unknown.
    pub(super) fn granted(&self, what: &DoorOrPort) -> anyhow::Result<Granted> {
        match what {
            DoorOrPort::Port(port) => Ok(Granted::Port(port.protocol, port.number.get())),
            DoorOrPort::Door(name) => match (self.find(name), unknown_id(name)) {
                (Err(_), Some(id)) => Ok(Granted::Door(id)),
                (found, _) => found.map(|door| Granted::Door(door.id)),
            },
        }
    }

    /// As [`DoorOrPort`] reads it.
    pub(super) fn name(&self, granted: Granted) -> String {
        match granted {
            Granted::Door(id) => self.door_name(id),
            Granted::Port(protocol, number) => port_name(protocol, number),
        }
    }

    pub(super) fn door_name(&self, id: DoorId) -> String {
        self.get(id).map_or_else(|| format!("{UNKNOWN}{id:08x}"), |door| door.name.clone())
    }

    /// The ports that it opens, as people write them.
    pub(super) fn opens(&self, granted: Granted) -> Vec<String> {
        match granted {
            Granted::Door(id) => self.get(id).map(|door| door.opens.clone()).unwrap_or_default(),
            Granted::Port(protocol, number) => vec![port_name(protocol, number)],
        }
    }
}

fn unknown_id(name: &DoorName) -> Option<DoorId> {
    let digits = name.as_str().strip_prefix(UNKNOWN).filter(|digits| digits.len() == 8)?;
    DoorId::from_str_radix(digits, 16).ok()
}

/// As [`Port`] is shown; the kernel's tables hold ports as plain numbers.
pub(super) fn port_name(protocol: Protocol, number: u16) -> String {
    format!("{number}/{protocol}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::state;

    fn parse(text: &str) -> Result<DoorOrPort, String> {
        text.parse()
    }

    #[test]
    fn what_names_a_protocol_is_a_port_and_all_else_a_door() {
        let port = DoorOrPort::Port(Port::udp(53).unwrap());
        assert_eq!((parse("53/udp"), parse("53:UDP")), (Ok(port.clone()), Ok(port)));
        assert_eq!(parse("22"), Ok(DoorOrPort::Door("22".parse().unwrap())));
        assert_eq!(
            parse("22-23/tcp").unwrap_err(),
            "this is a range of ports where a single one belongs; write one port"
        );
        assert!(parse("two words").unwrap_err().ends_with("; a port is written as in 22/tcp"));
    }

    #[test]
    fn names_are_read_as_they_are_shown() {
        let state = state();
        let doors = Doors::new(Some(&state));
        for granted in [Granted::Door(7), Granted::Door(0xbeef), Granted::Port(Protocol::Tcp, 22)] {
            let shown = doors.name(granted);
            assert_eq!(doors.granted(&shown.parse().unwrap()).unwrap(), granted, "{shown}");
        }
        assert_eq!(doors.name(Granted::Door(0xbeef)), "unknown-0000beef");
    }

    #[test]
    fn a_door_that_is_not_there_is_an_error_that_tells_what_is() {
        let state = state();
        let message =
            |name: &str| Doors::new(Some(&state)).find(&name.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(message("shs"), "there is no door shs, only ssh, once, gate");
        assert_eq!(message("22"), "there is no door 22; the port is written 22/tcp");
        assert!(Doors::new(None).find(&"ssh".parse().unwrap()).is_err());
    }
}
