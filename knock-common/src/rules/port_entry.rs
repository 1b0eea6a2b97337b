//! What the rules say of single ports.

use super::Slot;
use crate::port::Protocol;

/// What the rules say of one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct PortEntry(u32);

impl PortEntry {
    pub const PUBLIC: u32 = 1 << 16;
    /// Named as closed: in some door's `opens`, or among the `protected`.
    pub const PROTECTED: u32 = 1 << 17;
    /// Named in some door's `opens`.
    pub const OPENED: u32 = 1 << 18;
    /// A step of some door's sequence.
    pub const KNOCK: u32 = 1 << 19;
    /// A step of some door's sequence more than once.
    pub const REPEATED: u32 = 1 << 20;
    /// Doors with a `target` have it as a step.
    pub const TARGETED: u32 = 1 << 21;
    /// Closed without a grant, by [`PortEntry::PROTECTED`] or by the policy.
    pub const CLOSED: u32 = 1 << 22;
    /// Where this machine's DHCP client waits for answers that pass whatever the policy.
    pub const DHCP_CLIENT: u32 = 1 << 23;

    /// `class` groups the ports that the same doors and trusts open; `marks` are the constants above.
    pub const fn new(class: u16, marks: u32) -> Self {
        Self(class as u32 | marks & 0xffff_0000)
    }

    /// The reverse of [`PortEntry::bits`].
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// As it lies in its map.
    pub const fn bits(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub const fn class(self) -> u32 {
        self.0 & 0xffff
    }

    #[inline(always)]
    pub const fn is(self, mark: u32) -> bool {
        self.0 & mark != 0
    }
}

/// Entries in one slot of the ports' map: TCP's, then UDP's.
pub const PORT_ENTRIES: u32 = 2 << 16;

/// Index into the ports' map.
#[inline(always)]
pub const fn port_index(slot: Slot, protocol: Protocol, number: u16) -> u32 {
    (slot & 1) << 17 | (protocol as u32) << 16 | number as u32
}

/// Entries side by side in one value of their map, which the kernel pads to eight bytes.
pub type PortPair = [PortEntry; 2];

/// The pair that an entry is in, and which of the two it is.
#[inline(always)]
pub const fn place_of_port(index: u32) -> (u32, usize) {
    (index / 2, index as usize % 2)
}

/// Words of the map of listening ports: a bit for each port, TCP's words before UDP's.
pub const LISTENER_WORDS: u32 = 2 << 10;

/// Word and bit of a port in the map of listening ports.
#[inline(always)]
pub const fn listener_bit(protocol: Protocol, number: u16) -> (u32, u32) {
    ((protocol as u32) << 10 | (number >> 6) as u32, (number & 63) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: [u32; 8] = [
        PortEntry::PUBLIC,
        PortEntry::PROTECTED,
        PortEntry::OPENED,
        PortEntry::KNOCK,
        PortEntry::REPEATED,
        PortEntry::TARGETED,
        PortEntry::CLOSED,
        PortEntry::DHCP_CLIENT,
    ];

    #[test]
    fn an_entry_tells_its_class_and_each_of_its_marks() {
        for mark in MARKS {
            let entry = PortEntry::new(0xabcd, mark);
            assert_eq!(entry.class(), 0xabcd);
            assert_eq!(MARKS.map(|other| entry.is(other)), MARKS.map(|other| other == mark));
            assert_eq!(PortEntry::from_bits(entry.bits()), entry);
        }
        assert_eq!(PortEntry::new(0, 0xffff).class(), 0);
    }

    #[test]
    fn each_port_of_a_protocol_has_an_entry_of_its_own() {
        let places = [0, 1].map(|slot| {
            [Protocol::Tcp, Protocol::Udp]
                .map(|protocol| [0, 1, 0xffff].map(|number| port_index(slot, protocol, number)))
        });
        let tcp = [0, 1, 0xffff];
        let udp = tcp.map(|place| place + 0x1_0000);
        let second = |places: [u32; 3]| places.map(|place| place + PORT_ENTRIES);
        assert_eq!(places, [[tcp, udp], [second(tcp), second(udp)]]);
        assert_eq!(port_index(2, Protocol::Tcp, 0), 0);
        assert_eq!([0, 1, 6, 7].map(place_of_port), [(0, 0), (0, 1), (3, 0), (3, 1)]);
    }

    #[test]
    fn each_port_of_a_protocol_has_a_bit_of_its_own() {
        assert_eq!(
            [0, 1, 63, 64, 0xffff].map(|number| listener_bit(Protocol::Tcp, number)),
            [(0, 0), (0, 1), (0, 63), (1, 0), (1023, 63)]
        );
        assert_eq!(listener_bit(Protocol::Udp, 0), (1024, 0));
        assert_eq!(listener_bit(Protocol::Udp, 0xffff), (LISTENER_WORDS - 1, 63));
    }
}
