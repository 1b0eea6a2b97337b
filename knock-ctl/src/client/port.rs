//! How ports are written on the client's command line.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use knock_common::port::{Port, Protocol};
use thiserror::Error;

/// A port whose protocol may be left open: `8000`, `8000/udp`, or `8000:udp` as knockd's client writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortArgument {
    number: NonZeroU16,
    protocol: Option<Protocol>,
}

impl PortArgument {
    pub(super) fn or_protocol(self, default: Protocol) -> Port {
        Port { protocol: self.protocol.unwrap_or(default), number: self.number }
    }
}

/// A TCP port to connect to; UDP has nothing that answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitPort(NonZeroU16);

impl WaitPort {
    pub(super) fn number(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for WaitPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, Protocol::Tcp)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    #[error("a port is a number from 1 to 65535")]
    Number,
    #[error("the protocol of a port is tcp or udp, as in 8000/udp")]
    Protocol,
    #[error("a UDP port does not answer a connection, so it can't be waited for; name a TCP port")]
    WaitForUdp,
}

impl FromStr for PortArgument {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (number, protocol) = match text.split_once(['/', ':']) {
            Some((number, protocol)) => (number, Some(parse_protocol(protocol)?)),
            None => (text, None),
        };
        Ok(Self { number: number.parse().map_err(|_| PortError::Number)?, protocol })
    }
}

impl FromStr for WaitPort {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let port = text.parse::<PortArgument>()?.or_protocol(Protocol::Tcp);
        match port.protocol {
            Protocol::Tcp => Ok(Self(port.number)),
            Protocol::Udp => Err(PortError::WaitForUdp),
        }
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, PortError> {
    [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .find(|known| text.eq_ignore_ascii_case(known.name()))
        .ok_or(PortError::Protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_say_the_same_and_an_open_protocol_is_filled_in() {
        let cases = [
            ("8000", Protocol::Tcp, Port::tcp(8000)),
            ("8000", Protocol::Udp, Port::udp(8000)),
            ("8000/udp", Protocol::Tcp, Port::udp(8000)),
            ("8000:udp", Protocol::Tcp, Port::udp(8000)),
            ("8000:TCP", Protocol::Udp, Port::tcp(8000)),
            ("65535", Protocol::Tcp, Port::tcp(65535)),
        ];
        for (text, default, port) in cases {
            assert_eq!(text.parse::<PortArgument>().unwrap().or_protocol(default), port.unwrap(), "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_own_name() {
        let cases = [
            ("", PortError::Number),
            ("0", PortError::Number),
            ("65536", PortError::Number),
            ("-1", PortError::Number),
            ("ssh", PortError::Number),
            ("1-2", PortError::Number),
            ("/udp", PortError::Number),
            ("22/", PortError::Protocol),
            ("22/sctp", PortError::Protocol),
            ("22/tcp/udp", PortError::Protocol),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<PortArgument>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn only_a_tcp_port_can_be_waited_for() {
        assert_eq!("22".parse::<WaitPort>(), "22/tcp".parse());
        assert_eq!("22".parse::<WaitPort>().map(WaitPort::number), Ok(22));
        assert_eq!("53/udp".parse::<WaitPort>(), Err(PortError::WaitForUdp));
    }
}
