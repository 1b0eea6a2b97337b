//! What the filter can do by itself in place of a door's firewall commands.

use std::time::Duration;

use knock_common::port::{PortRange, Protocol};

use super::document::Document;
use super::firewall::{Action, FirewallChange, firewall_change};
use super::knockd::KnockdDoor;
use super::timeouts::CMD_TIMEOUT;
use crate::config::DoorName;
use crate::config::duration::format_duration;

pub(super) enum Offer<'a> {
    Opens {
        change: FirewallChange,
        /// `None`: until somebody takes it back.
        open_for: Option<Duration>,
    },
    /// The doors that open what this one closes.
    Revokes(Vec<&'a DoorName>),
}

/// For each door, in their order.
pub(super) fn offers<'a>(doors: &[KnockdDoor], names: &'a [DoorName]) -> Vec<Option<Offer<'a>>> {
    let changes: Vec<Option<Changes>> = doors.iter().map(Changes::of).collect();
    let openers = |closed: &[PortRange]| -> Vec<&'a DoorName> {
        let pairs = changes.iter().zip(names);
        pairs
            .filter(|(changes, _)| changes.as_ref().is_some_and(|changes| changes.opens_any_of(closed)))
            .map(|(_, name)| name)
            .collect()
    };
    let offers = changes.iter().zip(doors).map(|(changes, door)| {
        let Changes { start, stops } = changes.as_ref()?;
        match start.action {
            Action::Accept => {
                let stop_after = CMD_TIMEOUT.of(door.commands.cmd_timeout.as_ref());
                Some(Offer::Opens { change: start.clone(), open_for: stops.then_some(stop_after) })
            }
            Action::Remove => {
                Some(openers(&start.ports)).filter(|doors| !doors.is_empty()).map(Offer::Revokes)
            }
        }
    });
    offers.collect()
}

/// A door all of whose commands are about one set of ports.
struct Changes {
    start: FirewallChange,
    /// The stop command takes back what the start command did.
    stops: bool,
}

impl Changes {
    fn of(door: &KnockdDoor) -> Option<Self> {
        let runs = [door.commands.for_ipv4(), door.commands.for_ipv6()];
        let mut found: Option<Self> = None;
        for run in runs.into_iter().flatten() {
            let start = firewall_change(run.start)?;
            let stop = run.stop.map(firewall_change);
            let stops = match &stop {
                None => false,
                Some(Some(stop)) if start.action == Action::Accept && stop.takes_back(&start) => true,
                Some(_) => return None,
            };
            match &found {
                Some(other) if !other.agrees(&start, stops) => return None,
                Some(_) => {}
                None => found = Some(Self { start, stops }),
            }
        }
        found
    }

    fn agrees(&self, start: &FirewallChange, stops: bool) -> bool {
        (self.start.action, &self.start.ports, self.stops) == (start.action, &start.ports, stops)
    }

    fn opens_any_of(&self, ports: &[PortRange]) -> bool {
        self.start.action == Action::Accept && self.start.ports.iter().any(|port| ports.contains(port))
    }
}

impl FirewallChange {
    fn takes_back(&self, other: &Self) -> bool {
        self.action == Action::Remove && self.ports == other.ports
    }
}

pub(super) fn write(offer: &Offer<'_>, document: &mut Document) {
    match offer {
        Offer::Opens { change, open_for } => {
            document.comment(
                "The filter can open the port itself, in the kernel, for IPv4 and IPv6. The port is then closed by being named \
                 here. Instead of the commands take:",
            );
            let ports: Vec<String> = change.ports.iter().map(ToString::to_string).collect();
            document.offer("opens", ports);
            document.offer("open_for", open_for.map_or_else(|| "forever".to_owned(), format_duration));
            document.comment(
                "and let the firewall pass what the filter has let in: remove the rule that closes the port, which \
                 reads something like this (iptables -S INPUT shows it):",
            );
            for port in &change.ports {
                document.command(&rule(&change.program, "-D", port, "DROP"));
            }
            document.comment("or, where the policy of INPUT is DROP, add:");
            for port in &change.ports {
                document.command(&rule(&change.program, "-A", port, "ACCEPT"));
            }
        }
        Offer::Revokes(doors) => {
            let names = doors.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            document
                .comment(&format!("Where {names} opens its port by \"opens\", take instead of the command:"));
            document.offer("revokes", doors.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
    }
}

/// A rule that is about everyone.
fn rule(program: &str, action: &str, port: &PortRange, target: &str) -> String {
    let protocol: Protocol = port.protocol();
    let (first, last) = (port.first(), port.last());
    let numbers = if first == last { first.to_string() } else { format!("{first}:{last}") };
    format!("{program} {action} INPUT -p {protocol} --dport {numbers} -j {target}")
}
