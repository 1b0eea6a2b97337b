//! IP protocols, as `protocols` lists them.

use std::fmt;

use super::report::Fault;
use super::section::nearest;
use super::tree::{Node, Value};

/// An IP protocol that is judged by its number alone: not TCP, UDP, ICMP or ICMPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpProtocol(u8);

/// "Assigned Internet Protocol Numbers", <https://www.iana.org/assignments/protocol-numbers>, under the names that Linux
/// has for them where IANA's keywords are others.
const NAMES: [(&str, u8); 18] = [
    ("igmp", 2),
    // IANA's IPv4: what a tunnel of mode ipip carries (RFC 2003). IANA's IPIP, 94, is another and hardly used.
    ("ipip", 4),
    ("dccp", 33),
    ("ipv6", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("eigrp", 88),
    ("ospf", 89),
    ("etherip", 97),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
    ("mpls-in-ip", 137),
];

/// Those that are judged by more than their numbers.
const NEED_NO_ENTRY: [(&str, u8, NoEntry); 5] = [
    ("tcp", 6, NoEntry::Ports),
    ("udp", 17, NoEntry::Ports),
    ("icmp", 1, NoEntry::Passes),
    ("icmpv6", 58, NoEntry::Passes),
    ("ipv6-icmp", 58, NoEntry::Passes),
];

/// Why a protocol needs no entry.
#[derive(Clone, Copy)]
enum NoEntry {
    Ports,
    Passes,
}

impl IpProtocol {
    /// `None` for TCP, UDP, ICMP and ICMPv6.
    pub fn new(number: u8) -> Option<Self> {
        needs_no_entry(number).is_none().then_some(Self(number))
    }

    pub fn number(self) -> u8 {
        self.0
    }
}

/// `esp (50)`, or the number alone where the protocol has no name here.
impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, number)) => write!(f, "{name} ({number})"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A name of the table above, or a number from 0 to 255.
pub(super) fn protocol(node: &Node) -> Result<IpProtocol, Fault> {
    let number = match &node.value {
        Value::Text(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => named(node, text)?,
        },
        Value::Integer(integer) => u8::try_from(*integer).map_err(|_| {
            node.fault("IP protocols are numbered from 0 to 255", "write one of these numbers, or a name")
        })?,
        _ => return Err(node.not_a("an IP protocol", "its name or number, as in \"esp\" or 50")),
    };
    match needs_no_entry(number) {
        Some((name, why)) => Err(why.fault(node, name)),
        None => Ok(IpProtocol(number)),
    }
}

fn needs_no_entry(number: u8) -> Option<(&'static str, NoEntry)> {
    NEED_NO_ENTRY.into_iter().find(|(_, known, _)| *known == number).map(|(name, _, why)| (name, why))
}

fn named(node: &Node, text: &str) -> Result<u8, Fault> {
    let all = NAMES.into_iter().chain(NEED_NO_ENTRY.map(|(name, number, _)| (name, number)));
    all.clone().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, number)| number).ok_or_else(|| {
        let help = match nearest(text, all.map(|(name, _)| name)) {
            Some(name) => format!("did you mean \"{name}\"? Any protocol can be written as its number"),
            None => format!("write its number, or one of {}", NAMES.map(|(name, _)| name).join(", ")),
        };
        node.fault(format!("{text:?} is no IP protocol that is known here"), help)
    })
}

impl NoEntry {
    fn fault(self, node: &Node, name: &str) -> Fault {
        match self {
            Self::Ports => node.fault(
                format!("{name} is judged by its ports, and needs no entry here"),
                "leave it out, and name ports in \"public\" or in the \"opens\" of a door",
            ),
            Self::Passes => node.fault(
                format!("{name} passes anyway, and needs no entry here"),
                "leave it out; ping = false drops echo requests",
            ),
        }
    }
}
