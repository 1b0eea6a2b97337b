//! How conditions on TCP flags are written: `syn,!ack`, as in knockd.

use knock_common::flags::{FlagsCondition, TcpFlags};
use thiserror::Error;

use super::report::Fault;
use super::scalar;
use super::tree::Node;

const NAMES: [(&str, TcpFlags); 6] = [
    ("fin", TcpFlags::FIN),
    ("syn", TcpFlags::SYN),
    ("rst", TcpFlags::RST),
    ("psh", TcpFlags::PSH),
    ("ack", TcpFlags::ACK),
    ("urg", TcpFlags::URG),
];

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlagsError {
    #[error("{0:?} is not a TCP flag")]
    Unknown(String),
    #[error("a flag cannot be both set and clear")]
    Contradiction,
}

/// `any`, or flags that must be set and, behind `!`, flags that must be clear; the rest is ignored.
pub fn parse_flags(text: &str) -> Result<FlagsCondition, FlagsError> {
    if text == "any" {
        return Ok(FlagsCondition::ANY);
    }
    let (mut set, mut clear) = (TcpFlags::NONE, TcpFlags::NONE);
    for word in text.split(',').map(str::trim) {
        let (name, side) = match word.strip_prefix('!') {
            Some(name) => (name, &mut clear),
            None => (word, &mut set),
        };
        let (_, flag) = NAMES
            .into_iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .ok_or_else(|| FlagsError::Unknown(name.to_owned()))?;
        *side = side.union(flag);
    }
    FlagsCondition::new(set, clear).ok_or(FlagsError::Contradiction)
}

/// What `parse_flags` reads back.
pub fn format_flags(condition: FlagsCondition) -> String {
    if condition == FlagsCondition::ANY {
        return "any".to_owned();
    }
    // knockd's manual names what must be set first.
    let set =
        NAMES.iter().filter(|(_, flag)| condition.set().contains(*flag)).map(|(name, _)| (*name).to_owned());
    let clear = NAMES
        .iter()
        .filter(|(_, flag)| condition.clear().contains(*flag))
        .map(|(name, _)| format!("!{name}"));
    set.chain(clear).collect::<Vec<_>>().join(",")
}

pub(super) fn flags(node: &Node) -> Result<FlagsCondition, Fault> {
    let text = scalar::text(node, "a list of TCP flags in one string", "\"syn,!ack\" or \"any\"")?;
    parse_flags(text).map_err(|error| {
        let help = match error {
            FlagsError::Unknown(_) => {
                "write any of fin, syn, rst, psh, ack, urg, each with a ! if it must be clear; or \"any\" alone"
            }
            FlagsError::Contradiction => "name each flag once",
        };
        node.fault(error.to_string(), help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_written_as_the_manual_says() {
        assert_eq!(parse_flags("syn,!ack,!rst,!fin"), Ok(FlagsCondition::CONNECT));
        assert_eq!(parse_flags("SYN, !ack, !rst, !fin"), Ok(FlagsCondition::CONNECT));
        assert_eq!(parse_flags("any"), Ok(FlagsCondition::ANY));
    }

    #[test]
    fn every_condition_comes_back_as_it_was_written() {
        for set in 0..64 {
            for clear in (0..64).filter(|clear| clear & set == 0) {
                let condition =
                    FlagsCondition::new(TcpFlags::from_header(set), TcpFlags::from_header(clear)).unwrap();
                assert_eq!(parse_flags(&format_flags(condition)), Ok(condition));
            }
        }
    }

    #[test]
    fn mistakes_are_told_apart() {
        assert_eq!(parse_flags("syn,!syn"), Err(FlagsError::Contradiction));
        assert_eq!(parse_flags("syn,any"), Err(FlagsError::Unknown("any".to_owned())));
        assert_eq!(parse_flags("sin"), Err(FlagsError::Unknown("sin".to_owned())));
        assert_eq!(parse_flags(""), Err(FlagsError::Unknown(String::new())));
        assert_eq!(parse_flags("!!syn"), Err(FlagsError::Unknown("!syn".to_owned())));
    }
}
