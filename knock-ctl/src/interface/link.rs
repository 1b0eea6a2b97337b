//! One interface, by rtnetlink(7).

use std::io;

use netlink_packet_core::{
    DecodeError, ErrorContext, NetlinkDeserializable, NetlinkHeader, NlasIterator, Parseable, parse_string,
    parse_u32,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkHeader, LinkLayerType, LinkMessage, LinkXdp};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::{InterfaceError, InterfaceName, ethtool};
use crate::netlink::{NetlinkError, Scope, ask};

/// What decides where and how a filter can be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceFacts {
    pub index: u32,
    /// Whether it is set up (IFF_UP), with or without a carrier.
    pub up: bool,
    pub loopback: bool,
    /// Whether its packets begin with an Ethernet header.
    pub ethernet: bool,
    /// In bytes, without the link layer's header.
    pub mtu: u32,
    /// In use now.
    pub receive_queues: u32,
    /// Such as "virtio_net" or "veth"; `None` where there is no driver to ask.
    pub driver: Option<String>,
    /// What kind of virtual interface it is, as `ip link add type` names it: "veth", "bond", "vlan"; `None` for hardware.
    pub kind: Option<String>,
    /// The index of the interface that it sits on or is tied to, where that is in this namespace: a VLAN's parent, a
    /// veth's peer.
    pub lower: Option<u32>,
    /// What takes its packets: the bond or bridge that it is a member of.
    pub master: Option<Master>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    pub index: u32,
    /// "bond", "bridge", "vrf", "team", …
    pub kind: String,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    pub id: u32,
    pub mode: XdpMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// On socket buffers.
    Generic,
    /// In the hardware.
    Offloaded,
}

/// # Errors
/// [`InterfaceError::NotFound`] where no interface has this name.
pub fn describe(name: &InterfaceName) -> Result<InterfaceFacts, InterfaceError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_string()));
    let link = get(request, name.as_str())?;
    Ok(InterfaceFacts {
        index: link.index,
        up: link.flags.contains(LinkFlags::Up),
        loopback: link.flags.contains(LinkFlags::Loopback),
        ethernet: matches!(link.layer, LinkLayerType::Ether | LinkLayerType::Loopback),
        mtu: link.mtu,
        receive_queues: ethtool::receive_queues(name).unwrap_or(link.receive_queues),
        driver: ethtool::driver(name).ok(),
        kind: link.kind,
        lower: link.lower.filter(|_| !link.lower_is_elsewhere),
        master: link.master.map(|index| Master { index, kind: link.master_kind.unwrap_or_default() }),
    })
}

/// The XDP programs on the interface with this index, whoever attached them: usually none or one, more only where one is
/// offloaded.
///
/// # Errors
/// [`InterfaceError::NotFound`] where no interface has this index.
pub fn attached_programs(index: u32) -> Result<Vec<XdpProgram>, InterfaceError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    Ok(get(request, &format!("with index {index}"))?.programs)
}

/// Whether any interface has the one with this index as its master.
pub(super) fn has_members(index: u32) -> Result<bool, InterfaceError> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let links: Vec<Link> = ask(NETLINK_ROUTE, Scope::All, request).map_err(InterfaceError::Links)?;
    Ok(links.iter().any(|link| link.master == Some(index)))
}

fn get(request: LinkMessage, name: &str) -> Result<Link, InterfaceError> {
    let replies: Vec<Link> = ask(NETLINK_ROUTE, Scope::One, RouteNetlinkMessage::GetLink(request)).map_err(
        |error| match error {
            NetlinkError::Refused(refusal) if is_missing(&refusal) => {
                InterfaceError::NotFound(name.to_owned())
            }
            source => InterfaceError::Link { name: name.to_owned(), source },
        },
    )?;
    replies.into_iter().next().ok_or_else(|| InterfaceError::NotFound(name.to_owned()))
}

/// Index 0 is refused with EINVAL.
fn is_missing(refusal: &io::Error) -> bool {
    matches!(refusal.raw_os_error(), Some(libc::ENODEV | libc::EINVAL))
}

/// The attributes that are asked for, and no others: each kernel adds and enlarges some.
#[derive(Debug)]
struct Link {
    index: u32,
    flags: LinkFlags,
    layer: LinkLayerType,
    mtu: u32,
    receive_queues: u32,
    lower: Option<u32>,
    lower_is_elsewhere: bool,
    master: Option<u32>,
    kind: Option<String>,
    master_kind: Option<String>,
    programs: Vec<XdpProgram>,
}

/// struct ifinfomsg (linux/rtnetlink.h).
const HEADER_LENGTH: usize = 16;

impl NetlinkDeserializable for Link {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let header = LinkHeader::parse(payload)?;
        let mut link = Self {
            index: header.index,
            flags: header.flags,
            layer: header.link_layer_type,
            mtu: 0,
            receive_queues: 1,
            lower: None,
            lower_is_elsewhere: false,
            master: None,
            kind: None,
            master_kind: None,
            programs: Vec::new(),
        };
        for attribute in NlasIterator::new(payload.get(HEADER_LENGTH..).unwrap_or_default()) {
            let attribute = attribute.context("in a link's attributes")?;
            let value = attribute.value();
            match attribute.kind() {
                libc::IFLA_MTU => link.mtu = parse_u32(value)?,
                libc::IFLA_NUM_RX_QUEUES => link.receive_queues = parse_u32(value)?,
                libc::IFLA_LINK => link.lower = Some(parse_u32(value)?).filter(|&index| index != 0),
                libc::IFLA_LINK_NETNSID => link.lower_is_elsewhere = true,
                libc::IFLA_MASTER => link.master = Some(parse_u32(value)?),
                libc::IFLA_LINKINFO => (link.kind, link.master_kind) = kinds(value)?,
                libc::IFLA_XDP => link.programs = programs(value)?,
                _ => {}
            }
        }
        Ok(link)
    }
}

/// Of the link itself, and of its master.
fn kinds(value: &[u8]) -> Result<(Option<String>, Option<String>), DecodeError> {
    let (mut own, mut master) = (None, None);
    for attribute in NlasIterator::new(value) {
        let attribute = attribute.context("in a link's kind")?;
        match attribute.kind() {
            libc::IFLA_INFO_KIND => own = Some(parse_string(attribute.value())?),
            libc::IFLA_INFO_SLAVE_KIND => master = Some(parse_string(attribute.value())?),
            _ => {}
        }
    }
    Ok((own, master))
}

fn programs(value: &[u8]) -> Result<Vec<XdpProgram>, DecodeError> {
    let mut programs = Vec::new();
    for attribute in NlasIterator::new(value) {
        let program = match LinkXdp::parse(&attribute.context("in a link's XDP programs")?)? {
            LinkXdp::DrvProgId(id) => XdpProgram { id, mode: XdpMode::Native },
            LinkXdp::SkbProgId(id) => XdpProgram { id, mode: XdpMode::Generic },
            LinkXdp::HwProgId(id) => XdpProgram { id, mode: XdpMode::Offloaded },
            _ => continue,
        };
        programs.push(program);
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_described() {
        let facts = describe(&"lo".parse().unwrap()).unwrap();
        assert_eq!(facts.index, 1);
        assert!(facts.loopback && facts.ethernet);
        assert!(facts.mtu >= 1280);
        assert_eq!(facts.receive_queues, 1);
        assert_eq!((facts.kind, facts.master, facts.lower), (None, None, None));
        assert!(attached_programs(facts.index).is_ok());
    }

    #[test]
    fn what_does_not_exist_is_not_found() {
        let missing = describe(&"no-such-link".parse().unwrap());
        assert!(matches!(missing, Err(InterfaceError::NotFound(name)) if name == "no-such-link"));
        for index in [0, i32::MAX as u32] {
            assert!(matches!(attached_programs(index), Err(InterfaceError::NotFound(_))), "{index}");
        }
    }
}
