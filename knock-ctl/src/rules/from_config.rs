//! The rules in a configuration.

use std::collections::BTreeSet;
use std::net::IpAddr;

use knock_common::port::PortRange;

use super::{DoorRule, OneTimeRule, Opens, RuleSet, TrustRule};
use crate::config::{
    self, Config, Destination, DoorSequence, Established, IpProtocol, OneTimeFile, OneTimeSequence, OpenFor,
};

impl RuleSet {
    /// `local` is what `destinations = ["local"]` stands for.
    pub fn from_config(config: &Config, local: &BTreeSet<IpAddr>) -> Self {
        let filter = &config.filter;
        Self {
            doors: config.doors.iter().map(DoorRule::from).collect(),
            public: filter.public.clone(),
            protected: filter.protected.clone(),
            trusted: filter
                .trusted
                .iter()
                .map(|trusted| TrustRule { from: trusted.from, to: named_ports(&trusted.to) })
                .collect(),
            policy: filter.policy,
            protocols: filter.protocols.iter().copied().map(IpProtocol::number).collect(),
            ping: filter.ping,
            destinations: destinations(&filter.destinations, local),
            scanners: config.scanners,
            strict: filter.strict,
            enforce: filter.enforce,
            cut: filter.established == Established::Cut,
            stages: config.log.stages,
            drops: config.log.drops,
            flow_established: config.timeouts.tcp_established,
            flow_closing: config.timeouts.tcp_closing,
            flow_udp: config.timeouts.udp,
            flow_icmp: config.timeouts.icmp,
        }
    }
}

impl From<&config::Door> for DoorRule {
    fn from(door: &config::Door) -> Self {
        Self {
            name: door.name.to_string(),
            steps: match &door.sequence {
                DoorSequence::Fixed(sequence) => sequence.steps().to_vec(),
                DoorSequence::OneTime(_) => Vec::new(),
            },
            one_time: match &door.sequence {
                DoorSequence::Fixed(_) => None,
                DoorSequence::OneTime(file) => Some(preloaded(file)),
            },
            seq_timeout: door.seq_timeout,
            flags: door.flags,
            same_ttl: door.same_ttl,
            targets: door.target.clone(),
            opens: named_ports(&door.opens).map_or(Opens::Any, Opens::Ports),
            approved: door.commands.approve.is_some(),
            open_for: match door.open_for {
                OpenFor::For(duration) => Some(duration),
                OpenFor::Forever => None,
            },
            connections: door.connections,
            revokes: door.revokes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// So many one-time sequences of a door are in the kernel at once: they can be used while no controller runs, and after a crash
/// of the machine they count as used.
const PRELOADED: usize = 4;

/// The next ones, up to one that could not be told from those before it.
fn preloaded(file: &OneTimeFile) -> Vec<OneTimeRule> {
    let mut next: Vec<OneTimeRule> = Vec::new();
    for OneTimeSequence { id, sequence } in file.unused.iter().take(PRELOADED) {
        let steps = sequence.steps();
        let begins = |rule: &OneTimeRule| rule.steps.starts_with(steps) || steps.starts_with(&rule.steps);
        if next.iter().any(begins) {
            break;
        }
        next.push(OneTimeRule { id: *id, steps: steps.to_vec() });
    }
    next
}

/// Each once; `None`: all.
fn destinations(listed: &[Destination], local: &BTreeSet<IpAddr>) -> Option<Vec<IpAddr>> {
    let resolve = |destination: &Destination| match destination {
        Destination::Local => local.clone(),
        Destination::Address(address) => BTreeSet::from([*address]),
    };
    let resolved: BTreeSet<IpAddr> = listed.iter().flat_map(resolve).collect();
    (!listed.is_empty()).then(|| resolved.into_iter().collect())
}

/// `None`: any port.
fn named_ports(opens: &config::Opens) -> Option<Vec<PortRange>> {
    match opens {
        config::Opens::Ports(ports) => Some(ports.clone()),
        config::Opens::Any => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::rules::{Policy, ScannersRule};

    fn rules(text: &str) -> RuleSet {
        let local = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap()).into();
        RuleSet::from_config(&config::parse(text, "knock.toml", Path::new("")).unwrap().config, &local)
    }

    #[test]
    fn what_a_whole_machine_behind_the_filter_needs_is_carried_over() {
        let rules = rules(
            r#"
[filter]
policy = "drop"
protocols = ["esp", 112]
ping = false
[timeouts]
udp = "1m"
icmp = "2s"
[scanners]
ports = 3
within = "4s"
hold = "5m"
include_public = true
"#,
        );
        assert_eq!((rules.policy, rules.protocols, rules.ping), (Policy::Drop, vec![50, 112], false));
        assert_eq!((rules.flow_udp, rules.flow_icmp), (Duration::from_secs(60), Duration::from_secs(2)));
        let scanners = ScannersRule {
            ports: 3,
            within: Duration::from_secs(4),
            hold: Duration::from_secs(300),
            include_public: true,
        };
        assert_eq!(rules.scanners, Some(scanners));
    }

    #[test]
    fn local_destinations_are_what_the_caller_says() {
        let destinations = |list: &str| {
            let rules = rules(&format!("[filter]\ndestinations = [{list}]\n"));
            rules.destinations.map(|addresses| addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(destinations(""), None);
        assert_eq!(destinations("\"203.0.113.5\""), Some(vec!["203.0.113.5".to_owned()]));
        assert_eq!(
            destinations("\"local\", \"203.0.113.5\", \"192.0.2.1\""),
            Some(["192.0.2.1", "203.0.113.5", "2001:db8::1"].map(str::to_owned).to_vec())
        );
    }
}
