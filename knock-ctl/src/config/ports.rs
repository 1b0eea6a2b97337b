//! How ports are written: `22/tcp`, `8000-8100/udp`, and knockd's `22:tcp`.

use std::num::NonZeroU16;

use knock_common::port::{Port, PortRange, Protocol};
use thiserror::Error;

use super::report::Fault;
use super::tree::{Node, Value};

/// Why a text is no port. The texts hold no port: it may be a step of a secret sequence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    #[error("this port names no protocol")]
    NoProtocol { written: String },
    #[error("the protocol of a port is tcp or udp")]
    UnknownProtocol,
    #[error("this is not a port")]
    NotAPort,
    #[error("there is no port 0")]
    Zero,
    #[error("ports end at 65535")]
    TooLarge,
    #[error("this range runs backwards")]
    Backwards { first: u16, last: u16, protocol: Protocol },
    #[error("this is a range of ports where a single one belongs")]
    NotSingle,
}

impl PortError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::NoProtocol { written } => format!("write \"{written}/tcp\""),
            Self::UnknownProtocol => "write it as in \"22/tcp\" or \"53/udp\"".to_owned(),
            Self::NotAPort => "write a number from 1 to 65535 and its protocol, as in \"22/tcp\"".to_owned(),
            Self::Zero | Self::TooLarge => "write a number from 1 to 65535".to_owned(),
            Self::Backwards { first, last, protocol } => format!("write \"{last}-{first}/{protocol}\""),
            Self::NotSingle => "write one port".to_owned(),
        }
    }
}

/// `22/tcp` or `8000-8100/tcp`; the protocol may stand behind `:` instead of `/`.
pub fn parse_range(text: &str) -> Result<PortRange, PortError> {
    let (numbers, protocol) = split(text)?;
    let (first, last) = match numbers.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(numbers)?, number(numbers)?),
    };
    let protocol = protocol.ok_or_else(|| PortError::NoProtocol { written: numbers.to_owned() })?;
    PortRange::new(protocol, first.get(), last.get()).ok_or(PortError::Backwards {
        first: first.get(),
        last: last.get(),
        protocol,
    })
}

/// `8000/udp`, `8000:udp`, or `8000` where `protocol` says what that means.
pub fn parse_port(text: &str, default: Option<Protocol>) -> Result<Port, PortError> {
    let (digits, protocol) = split(text)?;
    if let Some((first, last)) = digits.split_once('-') {
        number(first)?;
        number(last)?;
        return Err(PortError::NotSingle);
    }
    let number = number(digits)?;
    let protocol =
        protocol.or(default).ok_or_else(|| PortError::NoProtocol { written: digits.to_owned() })?;
    Ok(Port { protocol, number })
}

/// An entry of a list of ports.
pub(super) fn range(node: &Node) -> Result<PortRange, Fault> {
    let result = match &node.value {
        Value::Text(text) => parse_range(text),
        Value::Integer(integer) => parse_range(&integer.to_string()),
        _ => return Err(node.not_a("a port", "it as in \"22/tcp\" or \"8000-8100/tcp\"")),
    };
    result.map_err(|error| node.fault(error.to_string(), error.help()))
}

/// A step of a sequence: a bare number is a TCP port.
pub(super) fn step(node: &Node) -> Result<Port, Fault> {
    let result = match &node.value {
        Value::Text(text) => parse_port(text, Some(Protocol::Tcp)),
        Value::Integer(integer) => parse_port(&integer.to_string(), Some(Protocol::Tcp)),
        _ => return Err(node.not_a("a port", "a port, as in 31207 or \"5481/udp\"")),
    };
    result.map_err(|error| node.fault(error.to_string(), error.help()))
}

fn split(text: &str) -> Result<(&str, Option<Protocol>), PortError> {
    let Some((numbers, protocol)) = text.split_once(['/', ':']) else { return Ok((text, None)) };
    [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .find(|known| protocol.eq_ignore_ascii_case(known.name()))
        .map(|known| (numbers, Some(known)))
        .ok_or(PortError::UnknownProtocol)
}

fn number(digits: &str) -> Result<NonZeroU16, PortError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError::NotAPort);
    }
    let number: u16 = digits.parse().map_err(|_| PortError::TooLarge)?;
    NonZeroU16::new(number).ok_or(PortError::Zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_say_the_same() {
        for text in ["8000-8100/udp", "8000-8100:udp", "8000-8100/UDP"] {
            assert_eq!(parse_range(text), Ok(PortRange::new(Protocol::Udp, 8000, 8100).unwrap()));
        }
        for text in ["8000/udp", "8000:udp"] {
            assert_eq!(parse_port(text, Some(Protocol::Tcp)), Ok(Port::udp(8000).unwrap()));
        }
        assert_eq!(parse_port("65535", Some(Protocol::Tcp)), Ok(Port::tcp(65535).unwrap()));
    }

    #[test]
    fn each_mistake_has_its_own_name() {
        let no_protocol = |written: &str| PortError::NoProtocol { written: written.to_owned() };
        let cases = [
            ("22", no_protocol("22")),
            ("22-25", no_protocol("22-25")),
            ("22/sctp", PortError::UnknownProtocol),
            ("22/", PortError::UnknownProtocol),
            ("22/tcp/udp", PortError::UnknownProtocol),
            ("ssh/tcp", PortError::NotAPort),
            ("", PortError::NotAPort),
            ("+22/tcp", PortError::NotAPort),
            (" 22/tcp", PortError::NotAPort),
            ("1-2-3/tcp", PortError::NotAPort),
            ("-5/tcp", PortError::NotAPort),
            ("0/tcp", PortError::Zero),
            ("0-5/tcp", PortError::Zero),
            ("65536/tcp", PortError::TooLarge),
            ("99999999999999999999/tcp", PortError::TooLarge),
            ("9-5/udp", PortError::Backwards { first: 9, last: 5, protocol: Protocol::Udp }),
        ];
        for (text, error) in cases {
            assert_eq!(parse_range(text), Err(error), "{text:?}");
        }
        assert_eq!(parse_port("1-2/tcp", None), Err(PortError::NotSingle));
        assert_eq!(parse_port("22", None), Err(no_protocol("22")));
    }
}
