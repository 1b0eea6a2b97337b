//! The secret of a door: the ports to knock on, in order.

use std::fmt;

use knock_common::port::{Port, Protocol};
use thiserror::Error;

use super::ports::{self, PortError};

/// 1 to 32 ports. Its `Debug` shows their number alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sequence(Vec<Port>);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SequenceError {
    #[error("this sequence has no step")]
    Empty,
    #[error("this sequence has {0} steps, more than {max}", max = Sequence::MAX_STEPS)]
    TooLong(usize),
}

impl SequenceError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Empty => "write 3 to 32 ports; \"knock-ctl generate 22/tcp\" prints random ones".to_owned(),
            Self::TooLong(_) => format!("keep to {}", Sequence::MAX_STEPS),
        }
    }
}

impl Sequence {
    /// knockd's limit too.
    pub const MAX_STEPS: usize = 32;

    pub fn new(steps: Vec<Port>) -> Result<Self, SequenceError> {
        match steps.len() {
            0 => Err(SequenceError::Empty),
            1..=Self::MAX_STEPS => Ok(Self(steps)),
            more => Err(SequenceError::TooLong(more)),
        }
    }

    pub fn steps(&self) -> &[Port] {
        &self.0
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sequence({} steps)", self.0.len())
    }
}

/// The steps of knockd's notation, `7000,8000:udp,9000:tcp`, each with the byte it begins at.
pub fn parse_steps(text: &str) -> impl Iterator<Item = (usize, Result<Port, PortError>)> {
    let mut begin = 0;
    text.split(',').map(move |raw| {
        let offset = begin + (raw.len() - raw.trim_start().len());
        begin += raw.len() + 1;
        (offset, ports::parse_port(raw.trim(), Some(Protocol::Tcp)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_not_shown() {
        let sequence = Sequence::new(vec![Port::tcp(31207).unwrap(), Port::udp(5481).unwrap()]).unwrap();
        assert_eq!(format!("{sequence:?}"), "Sequence(2 steps)");
    }

    #[test]
    fn one_to_thirty_two_steps() {
        let of = |count| Sequence::new(vec![Port::tcp(7).unwrap(); count]);
        assert_eq!(of(0), Err(SequenceError::Empty));
        assert!(of(1).is_ok() && of(32).is_ok());
        assert_eq!(of(33), Err(SequenceError::TooLong(33)));
    }

    #[test]
    fn steps_know_where_they_begin() {
        let steps: Vec<_> = parse_steps("7000, 8000:udp,x").collect();
        let expected = [
            (0, Ok(Port::tcp(7000).unwrap())),
            (6, Ok(Port::udp(8000).unwrap())),
            (15, Err(PortError::NotAPort)),
        ];
        assert_eq!(steps, expected);
    }
}
