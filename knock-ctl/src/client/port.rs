//! How ports are written on the client's command line.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use knock_common::port::{Port, Protocol};
use thiserror::Error;

use crate::config::ports::{PortError, parse_port};

/// A port whose protocol may be left open: `8000`, `8000/udp`, or `8000:udp` as knockd's client writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortArgument {
    if_tcp: Port,
    if_udp: Port,
}

impl PortArgument {
    pub(super) fn or_protocol(self, default: Protocol) -> Port {
        match default {
            Protocol::Tcp => self.if_tcp,
            Protocol::Udp => self.if_udp,
        }
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

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArgumentError {
    #[error("{0}; {help}", help = .0.help())]
    Port(#[from] PortError),
    #[error("a UDP port does not answer a connection, so it can't be waited for; name a TCP port")]
    WaitForUdp,
}

impl FromStr for PortArgument {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        let parse = |default| parse_port(text, Some(default));
        Ok(Self { if_tcp: parse(Protocol::Tcp)?, if_udp: parse(Protocol::Udp)? })
    }
}

impl FromStr for WaitPort {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        parse_port(text, Some(Protocol::Tcp))?.try_into()
    }
}

impl TryFrom<Port> for WaitPort {
    type Error = ArgumentError;

    fn try_from(port: Port) -> Result<Self, ArgumentError> {
        match port.protocol {
            Protocol::Tcp => Ok(Self(port.number)),
            Protocol::Udp => Err(ArgumentError::WaitForUdp),
        }
    }
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
    fn a_mistake_is_told_with_what_to_write() {
        let error = "70000".parse::<PortArgument>().unwrap_err().to_string();
        assert_eq!(error, "ports end at 65535; write a number from 1 to 65535");
    }

    #[test]
    fn only_a_tcp_port_can_be_waited_for() {
        assert_eq!("22".parse::<WaitPort>(), "22/tcp".parse());
        assert_eq!("22".parse::<WaitPort>().map(WaitPort::number), Ok(22));
        assert_eq!("53/udp".parse::<WaitPort>(), Err(ArgumentError::WaitForUdp));
    }
}
