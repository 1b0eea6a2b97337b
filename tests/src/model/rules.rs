//! What the model is told: a rule set in plain types.

use std::collections::HashSet;
use std::net::IpAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// A port of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    pub protocol: Protocol,
    pub number: u16,
}

/// Ports `first..=last` of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    pub protocol: Protocol,
    pub first: u16,
    pub last: u16,
}

/// The addresses that share the first `prefix_length` bits of `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    pub address: IpAddr,
    pub prefix_length: u8,
}

/// A source that need not knock; `to` limits where, `None` is everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    pub from: Network,
    pub to: Option<Vec<PortRange>>,
}

/// knockd's `tcpflags` as bits of the header's flags byte: those that must be set, those that must be clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlagsCondition {
    pub set: u8,
    pub clear: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opens {
    Nothing,
    Ports(Vec<PortRange>),
    /// All closed ports; protects none by itself.
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// 1 to 32 steps.
    pub sequence: Vec<Port>,
    /// From first to last knock.
    pub seq_timeout_ms: u64,
    pub flags: FlagsCondition,
    pub same_ttl: bool,
    /// Empty: knocks may be sent to any address.
    pub target: Vec<IpAddr>,
    pub opens: Opens,
    /// `None`: for ever.
    pub open_for_ms: Option<u64>,
    /// Connections that one grant accepts; 0: no limit.
    pub connections: u32,
    /// Doors, by index, whose grants a completion takes from the source.
    pub revokes: Vec<usize>,
}

/// What happens to a packet that no rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Pass,
    Drop,
}

/// What becomes of accepted connections when their grant ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Established {
    Keep,
    Cut,
}

/// A source that hits `ports` different closed ports `within_ms` of the first of them is held for `hold_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanners {
    pub ports: usize,
    pub within_ms: u64,
    pub hold_ms: u64,
    /// Held from public ports too.
    pub include_public: bool,
}

/// How long flows live without a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLives {
    pub half_open_ms: u64,
    pub established_ms: u64,
    pub closing_ms: u64,
    /// From the last datagram that this machine sent.
    pub udp_ms: u64,
    /// From the last echo request that this machine sent.
    pub icmp_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub policy: Policy,
    /// IP protocols, by number, that pass under [`Policy::Drop`] besides TCP, UDP, ICMP and IGMP.
    pub protocols: Vec<u8>,
    /// `false`: under [`Policy::Drop`] echo requests are dropped.
    pub ping: bool,
    pub enforce: bool,
    pub strict: bool,
    pub established: Established,
    pub doors: Vec<Door>,
    pub public: Vec<PortRange>,
    pub protected: Vec<PortRange>,
    pub trusted: Vec<Trusted>,
    /// Only packets to these are filtered; `None`: all.
    pub destinations: Option<Vec<IpAddr>>,
    /// `None`: nobody is held.
    pub scanners: Option<Scanners>,
    /// Ports that have a listener on this machine.
    pub listeners: HashSet<Port>,
    pub flow_lives: FlowLives,
}

impl Port {
    pub const fn tcp(number: u16) -> Self {
        Self { protocol: Protocol::Tcp, number }
    }

    pub const fn udp(number: u16) -> Self {
        Self { protocol: Protocol::Udp, number }
    }
}

impl PortRange {
    pub fn contains(&self, port: Port) -> bool {
        self.protocol == port.protocol && (self.first..=self.last).contains(&port.number)
    }
}

impl From<Port> for PortRange {
    fn from(port: Port) -> Self {
        Self { protocol: port.protocol, first: port.number, last: port.number }
    }
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| -> Vec<bool> {
            let octets = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            octets.iter().flat_map(|octet| (0..8).map(move |bit| octet & (0x80 >> bit) != 0)).collect()
        };
        let length = usize::from(self.prefix_length);
        self.address.is_ipv4() == address.is_ipv4() && bits(self.address)[..length] == bits(address)[..length]
    }
}

impl FlagsCondition {
    /// `any`: checks nothing.
    pub const ANY: Self = Self { set: 0, clear: 0 };
    /// `syn,!ack,!rst,!fin`, the default.
    pub const CONNECT: Self = Self { set: 0x02, clear: 0x15 };

    pub fn met_by(self, flags: u8) -> bool {
        flags & self.set == self.set && flags & self.clear == 0
    }
}

impl Door {
    /// A door with the defaults of a configuration file.
    pub fn new(sequence: Vec<Port>, opens: Vec<Port>) -> Self {
        Self {
            sequence,
            seq_timeout_ms: 10_000,
            flags: FlagsCondition::CONNECT,
            same_ttl: false,
            target: Vec::new(),
            opens: if opens.is_empty() {
                Opens::Nothing
            } else {
                Opens::Ports(opens.into_iter().map(PortRange::from).collect())
            },
            open_for_ms: Some(30_000),
            connections: 0,
            revokes: Vec::new(),
        }
    }

    /// Whether the door names `port` among what it opens.
    pub fn names(&self, port: Port) -> bool {
        matches!(&self.opens, Opens::Ports(ranges) if contains(ranges, port))
    }
}

impl Default for Rules {
    /// The defaults of a configuration file, with nothing in it.
    fn default() -> Self {
        Self {
            policy: Policy::Pass,
            protocols: Vec::new(),
            ping: true,
            enforce: true,
            strict: true,
            established: Established::Keep,
            doors: Vec::new(),
            public: Vec::new(),
            protected: Vec::new(),
            trusted: Vec::new(),
            destinations: None,
            scanners: None,
            listeners: HashSet::new(),
            flow_lives: FlowLives {
                half_open_ms: 30_000,
                established_ms: 432_000_000,
                closing_ms: 120_000,
                udp_ms: 180_000,
                icmp_ms: 30_000,
            },
        }
    }
}

impl Rules {
    pub fn is_public(&self, port: Port) -> bool {
        contains(&self.public, port)
    }

    /// Listed in `protected`, or named by some door as what it opens; never public.
    pub fn is_protected(&self, port: Port) -> bool {
        !self.is_public(port) && (contains(&self.protected, port) || self.opened_by_some_door(port))
    }

    /// Not open to everyone: protected, or under [`Policy::Drop`] any that is not public.
    pub fn is_closed(&self, port: Port) -> bool {
        self.is_protected(port) || (self.policy == Policy::Drop && !self.is_public(port))
    }

    /// Whether packets to (or, where they leave, from) this machine's address are looked at.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.destinations.as_ref().is_none_or(|destinations| destinations.contains(&address))
    }

    /// `opens = ["any"]` names no port.
    pub fn opened_by_some_door(&self, port: Port) -> bool {
        self.doors.iter().any(|door| door.names(port))
    }

    /// Whether `port` is a step of some door.
    pub fn is_knock_port(&self, port: Port) -> bool {
        self.doors.iter().any(|door| door.sequence.contains(&port))
    }

    pub fn is_trusted(&self, source: IpAddr, port: Port) -> bool {
        self.trusted.iter().any(|trusted| {
            trusted.from.contains(source) && trusted.to.as_ref().is_none_or(|ranges| contains(ranges, port))
        })
    }

    /// Whether `source` is trusted for any port.
    pub fn is_trusted_somewhere(&self, source: IpAddr) -> bool {
        self.trusted.iter().any(|trusted| trusted.from.contains(source))
    }
}

fn contains(ranges: &[PortRange], port: Port) -> bool {
    ranges.iter().any(|range| range.contains(port))
}
