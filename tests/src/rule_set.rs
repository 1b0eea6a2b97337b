//! The reference model's rules, as the program under test is given them.

use crate::model;
use ipnet::IpNet;
use knock_common::flags::{FlagsCondition, TcpFlags};
use knock_common::port::{Port, PortRange, Protocol};
use knock_ctl::rules::{DoorRule, Opens, Policy, RuleSet, ScannersRule, TrustRule};
use std::time::Duration;

/// The same rules. Doors are named by their index; what the program is told apart from its rules is not among them: the
/// ports that have a listener.
///
/// # Panics
/// If `rules` says something that no configuration can say.
pub fn rule_set(rules: &model::Rules) -> RuleSet {
    let lives = rules.flow_lives;
    RuleSet {
        doors: rules.doors.iter().enumerate().map(|(index, rules)| door(index, rules)).collect(),
        public: ranges(&rules.public),
        protected: ranges(&rules.protected),
        trusted: rules.trusted.iter().map(trust).collect(),
        policy: match rules.policy {
            model::Policy::Pass => Policy::Pass,
            model::Policy::Drop => Policy::Drop,
        },
        protocols: rules.protocols.clone(),
        ping: rules.ping,
        destinations: rules.destinations.clone(),
        scanners: rules.scanners.map(scanners),
        strict: rules.strict,
        enforce: rules.enforce,
        cut: rules.established == model::Established::Cut,
        stages: false,
        drops: false,
        flow_established: Duration::from_millis(lives.established_ms),
        flow_closing: Duration::from_millis(lives.closing_ms),
        flow_udp: Duration::from_millis(lives.udp_ms),
        flow_icmp: Duration::from_millis(lives.icmp_ms),
    }
}

/// The name of the door with this index.
pub fn door_name(index: usize) -> String {
    format!("door {index}")
}

pub fn protocol(protocol: model::Protocol) -> Protocol {
    match protocol {
        model::Protocol::Tcp => Protocol::Tcp,
        model::Protocol::Udp => Protocol::Udp,
    }
}

fn door(index: usize, door: &model::Door) -> DoorRule {
    let flags = door.flags;
    DoorRule {
        name: door_name(index),
        steps: door.sequence.iter().map(|step| port(*step)).collect(),
        one_time: None,
        seq_timeout: Duration::from_millis(door.seq_timeout_ms),
        flags: FlagsCondition::new(TcpFlags::from_header(flags.set), TcpFlags::from_header(flags.clear))
            .expect("flags are not both set and clear"),
        same_ttl: door.same_ttl,
        targets: door.target.clone(),
        approved: false,
        opens: match &door.opens {
            model::Opens::Nothing => Opens::Ports(Vec::new()),
            model::Opens::Ports(opened) => Opens::Ports(ranges(opened)),
            model::Opens::Any => Opens::Any,
        },
        open_for: door.open_for_ms.map(Duration::from_millis),
        connections: door.connections,
        revokes: door.revokes.iter().map(|&revoked| door_name(revoked)).collect(),
    }
}

fn scanners(scanners: model::Scanners) -> ScannersRule {
    ScannersRule {
        ports: u32::try_from(scanners.ports).expect("few ports"),
        within: Duration::from_millis(scanners.within_ms),
        hold: Duration::from_millis(scanners.hold_ms),
        include_public: scanners.include_public,
    }
}

fn trust(trusted: &model::Trusted) -> TrustRule {
    let network = trusted.from;
    TrustRule {
        from: IpNet::new(network.address, network.prefix_length).expect("a prefix fits its address"),
        to: trusted.to.as_deref().map(ranges),
    }
}

fn port(port: model::Port) -> Port {
    Port::new(protocol(port.protocol), port.number).expect("ports in rules are not 0")
}

fn ranges(ranges: &[model::PortRange]) -> Vec<PortRange> {
    let range = |range: &model::PortRange| {
        PortRange::new(protocol(range.protocol), range.first, range.last).expect("a range of ports but 0")
    };
    ranges.iter().map(range).collect()
}
