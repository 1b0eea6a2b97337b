//! TCP flags, and the conditions that a door puts on them.

/// The six classic TCP flags in the bit order of the header (RFC 9293, 3.1): FIN is bit 0, URG is bit 5.
/// ECE and CWR are ignored, so that ECN setup (RFC 3168) does not change what a knock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct TcpFlags(u8);

impl TcpFlags {
    pub const NONE: Self = Self(0);
    pub const FIN: Self = Self(0x01);
    pub const SYN: Self = Self(0x02);
    pub const RST: Self = Self(0x04);
    pub const PSH: Self = Self(0x08);
    pub const ACK: Self = Self(0x10);
    pub const URG: Self = Self(0x20);

    /// From the header's flags byte.
    #[inline(always)]
    pub const fn from_header(byte: u8) -> Self {
        Self(byte & 0x3f)
    }

    /// 0 to 63.
    #[inline(always)]
    pub const fn bits(self) -> u8 {
        self.0
    }

    #[inline(always)]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline(always)]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline(always)]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// A SYN without ACK: what begins a connection.
    #[inline(always)]
    pub const fn opens_connection(self) -> bool {
        self.contains(Self::SYN) && !self.contains(Self::ACK)
    }
}

/// knockd's `tcpflags`: flags that must be set, flags that must be clear; the rest is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlagsCondition {
    set: TcpFlags,
    clear: TcpFlags,
}

impl FlagsCondition {
    /// `any`: checks nothing.
    pub const ANY: Self = Self { set: TcpFlags::NONE, clear: TcpFlags::NONE };

    /// `syn,!ack,!rst,!fin`: the default, what a connecting client sends.
    pub const CONNECT: Self =
        Self { set: TcpFlags::SYN, clear: TcpFlags::ACK.union(TcpFlags::RST).union(TcpFlags::FIN) };

    /// `None` when a flag would have to be both set and clear.
    pub const fn new(set: TcpFlags, clear: TcpFlags) -> Option<Self> {
        if set.intersects(clear) { None } else { Some(Self { set, clear }) }
    }

    pub const fn set(self) -> TcpFlags {
        self.set
    }

    pub const fn clear(self) -> TcpFlags {
        self.clear
    }

    #[inline(always)]
    pub const fn met_by(self, flags: TcpFlags) -> bool {
        flags.contains(self.set) && !flags.intersects(self.clear)
    }

    /// Whether no packet can meet both conditions.
    pub const fn excludes(self, other: Self) -> bool {
        self.set.intersects(other.clear) || other.set.intersects(self.clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_opens_with_a_syn_and_no_ack() {
        let opening: Vec<u8> = (0..64)
            .map(TcpFlags::from_header)
            .filter(|flags| flags.opens_connection())
            .map(TcpFlags::bits)
            .collect();
        let expected: Vec<u8> = (0..64).filter(|bits| bits & 0x12 == 0x02).collect();
        assert_eq!(opening, expected);
        assert_eq!(TcpFlags::SYN.union(TcpFlags::SYN.union(TcpFlags::ACK)).bits(), 0x12);
    }

    #[test]
    fn the_default_takes_a_plain_syn_only() {
        let met: Vec<u8> = (0..64)
            .filter(|&bits| FlagsCondition::CONNECT.met_by(TcpFlags::from_header(bits)))
            .filter(|bits| bits & 0x28 == 0)
            .collect();
        assert_eq!(met, [0x02]);
    }

    #[test]
    fn two_conditions_exclude_each_other_exactly_when_no_flags_meet_both() {
        let condition = |set: u8, clear: u8| {
            FlagsCondition::new(TcpFlags::from_header(set), TcpFlags::from_header(clear & !set)).unwrap()
        };
        for a in 0..16 {
            for b in 0..16 {
                for c in 0..16 {
                    let (first, second) = (condition(a, b), condition(b, c));
                    let both = (0..64)
                        .map(TcpFlags::from_header)
                        .any(|flags| first.met_by(flags) && second.met_by(flags));
                    assert_eq!(first.excludes(second), !both);
                }
            }
        }
    }
}
