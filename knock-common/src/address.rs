//! Source and destination addresses, one type for IPv4 and IPv6.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address as a number of 128 bits in two words; IPv4 is kept as an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Address {
    high: u64,
    low: u64,
}

const MAPPED: u64 = 0xffff_0000_0000;

impl Address {
    pub const UNSPECIFIED: Self = Self { high: 0, low: 0 };

    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        Self::from_v4_word(u32::from_be_bytes(octets))
    }

    /// From the 32-bit word of a header.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self { high: 0, low: MAPPED | word as u64 }
    }

    /// From the 32-bit words of a header.
    #[inline(always)]
    pub const fn from_v6_words(words: [u32; 4]) -> Self {
        let [a, b, c, d] = words;
        Self { high: (a as u64) << 32 | b as u64, low: (c as u64) << 32 | d as u64 }
    }

    /// In network order.
    #[inline(always)]
    pub const fn octets(&self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.high.to_be_bytes();
        let [i, j, k, l, m, n, o, p] = self.low.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The reverse of [`Address::words`].
    pub const fn from_words(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// The high and the low 64 bits.
    #[inline(always)]
    pub const fn words(&self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// Whether it is an IPv4 address.
    #[inline(always)]
    pub const fn is_mapped(&self) -> bool {
        self.high == 0 && self.low >> 32 == MAPPED >> 32
    }

    /// Whether it is an IPv6 address of one link (RFC 4291, 2.5.6).
    #[inline(always)]
    pub const fn is_link_local(&self) -> bool {
        self.high >> 54 == 0xfe80 >> 6
    }

    /// `IpAddr::V4` for IPv4 and IPv4-mapped addresses.
    pub const fn to_ip(self) -> IpAddr {
        let v6 = Ipv6Addr::from_octets(self.octets());
        match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(v6),
        }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_v4(address.octets())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        let bits = address.to_bits();
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_ip())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_come_back_as_they_went_in() {
        for text in ["192.0.2.7", "2001:db8::7", "::", "0.0.0.0"] {
            let ip: IpAddr = text.parse().unwrap();
            let address = Address::from(ip);
            assert_eq!(address.to_ip(), ip);
            assert_eq!((address.to_string(), format!("{address:?}")), (text.to_owned(), text.to_owned()));
        }
    }

    #[test]
    fn a_header_holds_its_words_in_their_order() {
        let address = Address::from_v6_words([0x2001_0db8, 0x0001_0002, 0x0003_0004, 0x0005_0006]);
        assert_eq!(address, v6("2001:db8:1:2:3:4:5:6"));
        assert_eq!(Address::from_v4_word(0xc000_0207), Address::from_v4([192, 0, 2, 7]));
    }

    #[test]
    fn only_ipv4_is_mapped() {
        assert!(Address::from_v4([192, 0, 2, 7]).is_mapped());
        for text in ["::", "::c000:207", "2001:db8::ffff:c000:207", "::1:ffff:c000:207", "::fffe:c000:207"] {
            assert!(!v6(text).is_mapped(), "{text}");
        }
    }

    #[test]
    fn an_address_of_one_link_is_told_by_its_first_ten_bits() {
        for (text, is_link_local) in
            [("fe80::1", true), ("febf::1", true), ("fe7f::1", false), ("fec0::1", false)]
        {
            assert_eq!(v6(text).is_link_local(), is_link_local, "{text}");
        }
    }

    fn v6(text: &str) -> Address {
        text.parse::<Ipv6Addr>().unwrap().into()
    }
}
