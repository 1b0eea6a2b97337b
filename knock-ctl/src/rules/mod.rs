//! From the rules as people write them to the rules as the kernel program reads them.

mod automaton;
mod compiled;
mod doors;
mod from_config;
mod memory;
mod ports;
mod reach;
mod symbols;
mod trust;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use knock_common::flags::FlagsCondition;
use knock_common::port::{Port, PortRange};
use knock_common::rules::{DoorId, SequenceId};

pub use automaton::{CompileError, PreviousStates};
pub use compiled::{Compiled, compile};
pub use doors::door_ids;
pub use memory::MemoryTables;

/// Everything that decides about packets.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub doors: Vec<DoorRule>,
    pub public: Vec<PortRange>,
    /// Closed besides the ports that doors open.
    pub protected: Vec<PortRange>,
    pub trusted: Vec<TrustRule>,
    pub policy: Policy,
    /// Numbers of the IP protocols besides TCP, UDP, ICMP and IGMP that pass under [`Policy::Drop`].
    pub protocols: Vec<u8>,
    /// `false`: under [`Policy::Drop`] echo requests are dropped.
    pub ping: bool,
    /// Only packets to these are filtered; `None`: all.
    pub destinations: Option<Vec<IpAddr>>,
    pub scanners: Option<ScannersRule>,
    pub strict: bool,
    pub enforce: bool,
    /// `established = "cut"`.
    pub cut: bool,
    /// Report each step of an attempt.
    pub stages: bool,
    /// Report a sample of what is dropped.
    pub drops: bool,
    pub flow_established: Duration,
    pub flow_closing: Duration,
    pub flow_udp: Duration,
    pub flow_icmp: Duration,
}

/// What becomes of packets to ports that nothing is said about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Pass,
    Drop,
}

/// A source that hits `ports` different closed ports `within` is held for `hold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannersRule {
    pub ports: u32,
    pub within: Duration,
    pub hold: Duration,
    /// Held from public ports too.
    pub include_public: bool,
}

impl Default for RuleSet {
    fn default() -> Self {
        Self {
            doors: Vec::new(),
            public: Vec::new(),
            protected: Vec::new(),
            trusted: Vec::new(),
            policy: Policy::Pass,
            protocols: Vec::new(),
            ping: true,
            destinations: None,
            scanners: None,
            strict: true,
            enforce: true,
            cut: false,
            stages: false,
            drops: false,
            flow_established: Duration::from_secs(5 * 24 * 60 * 60),
            flow_closing: Duration::from_secs(2 * 60),
            flow_udp: Duration::from_secs(3 * 60),
            flow_icmp: Duration::from_secs(30),
        }
    }
}

#[derive(Clone)]
pub struct DoorRule {
    pub name: String,
    /// 1 to 32; none where there are one-time sequences.
    pub steps: Vec<Port>,
    /// The next ones, in their order; `None`: the steps open the door, again and again.
    pub one_time: Option<Vec<OneTimeRule>>,
    pub seq_timeout: Duration,
    pub flags: FlagsCondition,
    pub same_ttl: bool,
    /// Empty: knocks count wherever they are sent.
    pub targets: Vec<IpAddr>,
    pub opens: Opens,
    /// The controller writes the grant, once it is approved.
    pub approved: bool,
    /// `None`: until revoked.
    pub open_for: Option<Duration>,
    /// 0: no limit.
    pub connections: u32,
    pub revokes: Vec<String>,
}

/// A sequence that opens its door once.
#[derive(Clone)]
pub struct OneTimeRule {
    pub id: SequenceId,
    /// 1 to 32.
    pub steps: Vec<Port>,
}

impl DoorRule {
    /// What opens it next; nothing: its last one-time sequence is used.
    pub fn next_steps(&self) -> &[Port] {
        match &self.one_time {
            None => &self.steps,
            Some(sequences) => sequences.first().map_or(&[], |sequence| &sequence.steps),
        }
    }

    /// Each way through the automaton that opens the door, with what names its end there; `id` is the door's.
    fn paths(&self, id: DoorId) -> Vec<(Self, u32)> {
        match &self.one_time {
            None => vec![(self.clone(), id)],
            Some(sequences) => sequences
                .iter()
                .map(|sequence| {
                    (Self { steps: sequence.steps.clone(), one_time: None, ..self.clone() }, sequence.id)
                })
                .collect(),
        }
    }
}

/// The sequence is a secret.
impl std::fmt::Debug for DoorRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoorRule").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opens {
    Ports(Vec<PortRange>),
    Any,
}

impl Opens {
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Ports(ports) if ports.is_empty())
    }

    /// As the configuration writes them.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Ports(ports) => ports.iter().map(ToString::to_string).collect(),
            Self::Any => vec!["any".to_owned()],
        }
    }

    /// The ports that are opened by name.
    pub fn named(&self) -> &[PortRange] {
        match self {
            Self::Ports(ports) => ports,
            Self::Any => &[],
        }
    }
}

#[derive(Clone, Debug)]
pub struct TrustRule {
    pub from: IpNet,
    /// `None`: every port.
    pub to: Option<Vec<PortRange>>,
}
