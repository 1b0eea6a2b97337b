//! Puts XDP programs on interfaces and takes them off as others do: without a link, by rtnetlink(7).

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::XdpMode;
use crate::netlink::{NetlinkError, Scope, ask};

// linux/if_link.h.
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1 << 0;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_FLAGS_HW_MODE: u32 = 1 << 3;
const XDP_FLAGS_REPLACE: u32 = 1 << 4;

/// Puts a program on an interface that has none.
///
/// # Errors
/// Among others [`NetlinkError::Refused`] with EBUSY or EEXIST where there is one.
pub fn put_program(index: u32, mode: XdpMode, program: BorrowedFd<'_>) -> Result<(), NetlinkError> {
    let flags = LinkXdp::Flags(mode.flag() | XDP_FLAGS_UPDATE_IF_NOEXIST);
    set(index, vec![LinkXdp::Fd(program.as_raw_fd()), flags])
}

/// Takes this program, and no other, off an interface.
///
/// # Errors
/// [`NetlinkError::Refused`], with EBUSY where a link holds it, and with EEXIST where it is another one by now.
pub fn remove_program(index: u32, mode: XdpMode, program: BorrowedFd<'_>) -> Result<(), NetlinkError> {
    const NONE: i32 = -1;

    let flags = LinkXdp::Flags(mode.flag() | XDP_FLAGS_REPLACE);
    let expected = LinkXdp::ExpectedFd(program.as_raw_fd().cast_unsigned());
    set(index, vec![LinkXdp::Fd(NONE), flags, expected])
}

impl XdpMode {
    const fn flag(self) -> u32 {
        match self {
            Self::Native => XDP_FLAGS_DRV_MODE,
            Self::Generic => XDP_FLAGS_SKB_MODE,
            Self::Offloaded => XDP_FLAGS_HW_MODE,
        }
    }
}

fn set(index: u32, what: Vec<LinkXdp>) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.attributes.push(LinkAttribute::Xdp(what));
    ask::<_, Acknowledged>(NETLINK_ROUTE, Scope::One, RouteNetlinkMessage::SetLink(request)).map(drop)
}

/// The kernel answers with an acknowledgement alone.
struct Acknowledged;

impl NetlinkDeserializable for Acknowledged {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, _: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}
