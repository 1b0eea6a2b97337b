//! Ports and the two protocols that have them.

use core::fmt;
use core::num::NonZeroU16;

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    Tcp = 0,
    Udp = 1,
}

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A port of one protocol; never port 0. Written `22/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    pub protocol: Protocol,
    pub number: NonZeroU16,
}

impl Port {
    /// `None` for port 0.
    pub const fn new(protocol: Protocol, number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self { protocol, number }),
            None => None,
        }
    }

    pub const fn tcp(number: u16) -> Option<Self> {
        Self::new(Protocol::Tcp, number)
    }

    pub const fn udp(number: u16) -> Option<Self> {
        Self::new(Protocol::Udp, number)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// Ports `first..=last` of one protocol; `first <= last`. Written `22/tcp` or `8000-8100/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    protocol: Protocol,
    first: NonZeroU16,
    last: NonZeroU16,
}

impl PortRange {
    /// `None` for port 0 or a range that runs backwards.
    pub const fn new(protocol: Protocol, first: u16, last: u16) -> Option<Self> {
        match (NonZeroU16::new(first), NonZeroU16::new(last)) {
            (Some(first), Some(last)) if first.get() <= last.get() => Some(Self { protocol, first, last }),
            _ => None,
        }
    }

    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub const fn first(&self) -> u16 {
        self.first.get()
    }

    pub const fn last(&self) -> u16 {
        self.last.get()
    }

    pub const fn contains(&self, port: Port) -> bool {
        self.protocol as u8 == port.protocol as u8
            && self.first.get() <= port.number.get()
            && port.number.get() <= self.last.get()
    }
}

impl From<Port> for PortRange {
    fn from(port: Port) -> Self {
        Self { protocol: port.protocol, first: port.number, last: port.number }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}/{}", self.first, self.protocol)
        } else {
            write!(f, "{}-{}/{}", self.first, self.last, self.protocol)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_and_backward_ranges_cannot_be_written() {
        assert_eq!(Port::tcp(0), None);
        assert_eq!(PortRange::new(Protocol::Tcp, 0, 5), None);
        assert_eq!(PortRange::new(Protocol::Udp, 9, 5), None);
    }

    #[test]
    fn a_range_contains_its_ends_and_its_protocol_only() {
        let range = PortRange::new(Protocol::Udp, 60000, 60010).unwrap();
        assert!(range.contains(Port::udp(60000).unwrap()));
        assert!(range.contains(Port::udp(60010).unwrap()));
        assert!(!range.contains(Port::udp(60011).unwrap()));
        assert!(!range.contains(Port::tcp(60000).unwrap()));
        assert_eq!((range.first(), range.last()), (60000, 60010));
    }

    #[test]
    fn ports_are_written_with_their_protocol() {
        let port = Port::tcp(22).unwrap();
        assert_eq!(port.to_string(), "22/tcp");
        assert_eq!(PortRange::from(port).to_string(), "22/tcp");
        assert_eq!(PortRange::new(Protocol::Udp, 60000, 60010).unwrap().to_string(), "60000-60010/udp");
    }
}
