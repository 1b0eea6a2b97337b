//! The rules in a configuration.

use knock_common::port::PortRange;

use super::{DoorRule, Opens, RuleSet, TrustRule};
use crate::config::{self, Config, Established, OpenFor};

impl From<&Config> for RuleSet {
    fn from(config: &Config) -> Self {
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
            strict: filter.strict,
            enforce: filter.enforce,
            cut: filter.established == Established::Cut,
            stages: config.log.stages,
            flow_established: config.timeouts.tcp_established,
            flow_closing: config.timeouts.tcp_closing,
            ..Self::default()
        }
    }
}

impl From<&config::Door> for DoorRule {
    fn from(door: &config::Door) -> Self {
        Self {
            name: door.name.to_string(),
            steps: door.sequence.steps().to_vec(),
            seq_timeout: door.seq_timeout,
            flags: door.flags,
            same_ttl: door.same_ttl,
            targets: door.target.clone(),
            opens: named_ports(&door.opens).map_or(Opens::Any, Opens::Ports),
            open_for: match door.open_for {
                OpenFor::For(duration) => Some(duration),
                OpenFor::Forever => None,
            },
            connections: door.connections,
            revokes: door.revokes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// `None`: any port.
fn named_ports(opens: &config::Opens) -> Option<Vec<PortRange>> {
    match opens {
        config::Opens::Ports(ports) => Some(ports.clone()),
        config::Opens::Any => None,
    }
}
