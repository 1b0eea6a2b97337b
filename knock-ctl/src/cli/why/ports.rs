//! Which ports are worth asking about.

use knock_common::port::{Port, PortRange, Protocol};
use knock_common::rules::{PortEntry, port_index};

/// At most so many are asked about.
const PROBES_MAX: usize = 32;

/// A port to ask about, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) port: Port,
    /// "22/tcp", "8000-8100/tcp", "any other/tcp".
    pub(super) label: String,
}

impl Probe {
    pub(super) fn of(port: Port) -> Self {
        Self { port, label: port.to_string() }
    }
}

/// A port and what the rules say of it.
#[derive(Clone, Copy)]
struct Ruled {
    port: Port,
    entry: PortEntry,
}

impl Ruled {
    /// What it has in common with its like; `None`: the rules name it neither as public nor as closed.
    fn kind(&self) -> Option<(Protocol, bool, u32)> {
        let named = self.entry.is(PortEntry::PUBLIC | PortEntry::PROTECTED);
        named.then(|| (self.port.protocol, self.entry.is(PortEntry::PUBLIC), self.entry.class()))
    }

    fn is_knock(&self) -> bool {
        self.entry.is(PortEntry::KNOCK)
    }
}

/// One port of each stretch that is public or closed by name, and one of all others. Knock ports split no stretch and stand
/// for none that has others, or the answer would tell them. `entries` are those of slot 0.
pub(super) fn probes(entries: &[PortEntry]) -> Vec<Probe> {
    let of = |protocol| move |number| Port::new(protocol, number);
    let ports =
        (1..=u16::MAX).filter_map(of(Protocol::Tcp)).chain((1..=u16::MAX).filter_map(of(Protocol::Udp)));
    let ruled: Vec<Ruled> = ports
        .filter_map(|port| {
            let index = port_index(0, port.protocol, port.number.get());
            Some(Ruled { port, entry: *entries.get(index as usize)? })
        })
        .collect();
    let stretches = ruled.chunk_by(|one, next| one.kind() == next.kind());
    let named = stretches.filter(|stretch| stretch.iter().any(|ruled| ruled.kind().is_some()));
    let other = ruled
        .iter()
        .find(|ruled| ruled.kind().is_none() && !ruled.entry.is(PortEntry::KNOCK | PortEntry::DHCP_CLIENT))
        .map(|ruled| Probe { port: ruled.port, label: format!("any other/{}", ruled.port.protocol) });
    named.filter_map(stand_in).take(PROBES_MAX).chain(other).collect()
}

/// The port that stands for a stretch.
fn stand_in(stretch: &[Ruled]) -> Option<Probe> {
    let (first, last) = (stretch.first()?.port, stretch.last()?.port);
    let asked = stretch.iter().find(|ruled| !ruled.is_knock()).map_or(first, |ruled| ruled.port);
    let range = PortRange::new(first.protocol, first.number.get(), last.number.get())?;
    Some(Probe { port: asked, label: range.to_string() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::rules::{PreviousStates, RuleSet, compile};

    #[test]
    fn each_stretch_is_asked_about_once_and_knock_ports_are_not_told() {
        let text = "[filter]\npublic = [\"80/tcp\", \"443/udp\"]\nprotected = [\"8000-8100/tcp\"]\n\
                    [doors.ssh]\nsequence = [8000, 8050, 60123, 1]\nopens = [\"22/tcp\", \"23/tcp\"]\n";
        let config = config::parse(text, "test", Path::new("")).unwrap().config;
        let rules = RuleSet::from_config(&config, &Default::default());
        let probes = probes(&compile(&rules, &PreviousStates::new()).unwrap().ports);
        let told: Vec<_> =
            probes.iter().map(|probe| (probe.label.as_str(), probe.port.to_string())).collect();
        let expected = [
            ("22-23/tcp", "22/tcp"),
            ("80/tcp", "80/tcp"),
            ("8000-8100/tcp", "8001/tcp"),
            ("443/udp", "443/udp"),
            ("any other/tcp", "2/tcp"),
        ]
        .map(|(label, port)| (label, port.to_owned()));
        assert_eq!(told, expected);
    }
}
