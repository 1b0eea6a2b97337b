//! Numbers that are written into frames, by their names in the standards.

/// TCP flags (RFC 9293, 3.1).
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const URG: u8 = 0x20;
/// ECN flags (RFC 3168).
pub const ECE: u8 = 0x40;
pub const CWR: u8 = 0x80;

/// Ethertypes (IEEE 802).
pub const IPV4: u16 = 0x0800;
pub const ARP: u16 = 0x0806;
pub const IPV6: u16 = 0x86dd;
pub const LLDP: u16 = 0x88cc;
/// 802.1Q, a customer's tag.
pub const CTAG: u16 = 0x8100;
/// 802.1ad, a provider's tag.
pub const STAG: u16 = 0x88a8;

/// IP protocol numbers (IANA).
pub const HOP_BY_HOP: u8 = 0;
pub const ICMP: u8 = 1;
pub const IGMP: u8 = 2;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const GRE: u8 = 47;
pub const ESP: u8 = 50;
pub const AUTHENTICATION: u8 = 51;
pub const ICMPV6: u8 = 58;
pub const NO_NEXT_HEADER: u8 = 59;
pub const DESTINATION_OPTIONS: u8 = 60;
pub const SCTP: u8 = 132;
pub const MOBILITY: u8 = 135;
pub const HOST_IDENTITY: u8 = 139;
pub const SHIM6: u8 = 140;

/// An IPv6 option that a node skips when it does not know it (RFC 4727, 3.3).
pub const UNKNOWN_OPTION: u8 = 0x1e;
