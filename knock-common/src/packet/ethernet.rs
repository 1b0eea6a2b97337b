//! Ethernet and VLAN tags (IEEE 802.1Q, 802.1ad).

use super::Unfit;
use crate::frame::Frame;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;

const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const TAGS_MAX: usize = 2;

/// The network layer's protocol and the offset of its header.
pub(super) enum Network {
    Ipv4(usize),
    Ipv6(usize),
}

/// Walks over at most two VLAN tags. A third is malformed: Linux strips priority tags without limit, so a packet behind
/// more of them than are looked at would reach its socket unjudged.
#[inline(always)]
pub(super) fn network_header<F: Frame + ?Sized>(frame: &F) -> Result<Network, Unfit> {
    let mut offset = ETHERNET_HEADER;
    let mut ethertype = frame.half_word(offset - 2).ok_or(Unfit::CutShort)?;
    for _ in 0..TAGS_MAX {
        if !is_tag(ethertype) {
            break;
        }
        offset += VLAN_TAG;
        ethertype = frame.half_word(offset - 2).ok_or(Unfit::CutShort)?;
    }
    match ethertype {
        IPV4 => Ok(Network::Ipv4(offset)),
        IPV6 => Ok(Network::Ipv6(offset)),
        VLAN | SERVICE_VLAN => Err(Unfit::CutShort),
        _ => Err(Unfit::NotIp),
    }
}

#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, VLAN | SERVICE_VLAN)
}
