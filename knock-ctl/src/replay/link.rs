//! The link layers that captures come with (<https://www.tcpdump.org/linktypes.html>).

use std::borrow::Cow;

/// Those that hold what an interface with the filter sees, or enough to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Ethernet,
    /// "Cooked", as of `tcpdump -i any` before version 4.99.
    Sll,
    /// "Cooked", as of `tcpdump -i any` since.
    Sll2,
}

/// A frame from its Ethernet header on.
pub(super) struct EthernetFrame<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// How many bytes longer it is than what the capture had.
    pub(super) grown: isize,
    /// The capture says that it was sent by the machine it was taken on.
    pub(super) outgoing: bool,
}

/// Bytes of an Ethernet header before the type of what follows.
const ADDRESSES: usize = 12;
/// What a cooked header says of a packet that leaves.
const OUTGOING: u16 = 4;

impl Link {
    pub(super) fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Ethernet),
            113 => Some(Self::Sll),
            276 => Some(Self::Sll2),
            _ => None,
        }
    }

    /// `None`: shorter than its own header.
    pub(super) fn to_ethernet(self, bytes: &[u8]) -> Option<EthernetFrame<'_>> {
        let (header, kind, protocol) = match self {
            Self::Ethernet => {
                return Some(EthernetFrame { bytes: bytes.into(), grown: 0, outgoing: false });
            }
            Self::Sll => (16, [*bytes.first()?, *bytes.get(1)?], bytes.get(14..16)?),
            Self::Sll2 => (20, [0, *bytes.get(10)?], bytes.get(..2)?),
        };
        let payload = bytes.get(header..)?;
        let frame = [&[0; ADDRESSES], protocol, payload].concat();
        let grown = frame.len() as isize - bytes.len() as isize;
        let outgoing = u16::from_be_bytes(kind) == OUTGOING;
        Some(EthernetFrame { bytes: frame.into(), grown, outgoing })
    }
}
