//! The addresses of this host, by rtnetlink(7).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use netlink_packet_core::{DecodeError, ErrorContext, NetlinkDeserializable, NetlinkHeader, NlasIterator};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressHeader, AddressMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::InterfaceError;
use super::groups::groups;
use crate::netlink::{Scope, ask};

/// What the kernel takes for itself, whatever interface it arrives on: the addresses of all interfaces, the broadcast
/// addresses and subnet-router anycast addresses (RFC 4291, 2.6.1) of their subnets, what is broadcast everywhere, and the
/// multicast groups that this host has joined.
pub fn local_addresses() -> Result<BTreeSet<IpAddr>, InterfaceError> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let assigned: Vec<Assigned> =
        ask(NETLINK_ROUTE, Scope::All, request).map_err(InterfaceError::Addresses)?;
    // From 0.0.0.0 to 0.0.0.0 is broadcast too (ip_route_input_slow() in net/ipv4/route.c).
    let everywhere = [Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED].map(IpAddr::from);
    Ok(assigned.into_iter().flat_map(Assigned::taken).chain(everywhere).chain(groups()?).collect())
}

/// One address of an interface. Of its attributes no others are read: each kernel adds some.
#[derive(Debug, PartialEq, Eq)]
struct Assigned {
    /// `None`: of a family that is not IP.
    own: Option<IpAddr>,
    prefix_length: u8,
    /// Set by hand; it need not be that of the subnet.
    broadcast: Option<IpAddr>,
}

impl Assigned {
    fn taken(self) -> Vec<IpAddr> {
        let of_subnet = self.own.and_then(|own| match own {
            IpAddr::V4(own) => Ipv4Net::new(own, self.prefix_length).ok().map(broadcasts),
            IpAddr::V6(own) => Ipv6Net::new(own, self.prefix_length).ok().map(anycast),
        });
        self.own.into_iter().chain(self.broadcast).chain(of_subnet.into_iter().flatten()).collect()
    }
}

/// The highest address of a subnet and, for kernels before 5.14, the lowest (fib_add_ifaddr() in net/ipv4/fib_frontend.c).
fn broadcasts(subnet: Ipv4Net) -> Vec<IpAddr> {
    let is_point_to_point = subnet.prefix_len() >= 31;
    if is_point_to_point { Vec::new() } else { vec![subnet.broadcast().into(), subnet.network().into()] }
}

/// What routers take as theirs (addrconf_join_anycast() in net/ipv6/addrconf.c).
fn anycast(subnet: Ipv6Net) -> Vec<IpAddr> {
    let is_point_to_point = subnet.prefix_len() >= 127;
    if is_point_to_point { Vec::new() } else { vec![subnet.network().into()] }
}

/// struct ifaddrmsg (linux/if_addr.h).
const HEADER_LENGTH: usize = 8;

impl NetlinkDeserializable for Assigned {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let header = AddressHeader::parse(payload)?;
        let (mut address, mut local, mut broadcast) = (None, None, None);
        for attribute in NlasIterator::new(payload.get(HEADER_LENGTH..).unwrap_or_default()) {
            let attribute = attribute.context("in an address's attributes")?;
            match attribute.kind() {
                libc::IFA_ADDRESS => address = ip(attribute.value()),
                libc::IFA_LOCAL => local = ip(attribute.value()),
                libc::IFA_BROADCAST => broadcast = ip(attribute.value()),
                _ => {}
            }
        }
        // Where both are given, IFA_ADDRESS is the other end's.
        Ok(Self { own: local.or(address), prefix_length: header.prefix_len, broadcast })
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|octets| Ipv6Addr::from(octets).into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(own: &str, prefix_length: u8, broadcast: Option<&str>) -> Vec<String> {
        let broadcast = broadcast.map(|text| text.parse().unwrap());
        let assigned = Assigned { own: Some(own.parse().unwrap()), prefix_length, broadcast };
        assigned.taken().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_address_brings_those_that_its_subnet_has_for_all() {
        assert_eq!(taken("192.0.2.7", 24, None), ["192.0.2.7", "192.0.2.255", "192.0.2.0"]);
        assert_eq!(
            taken("192.0.2.7", 24, Some("192.0.2.99")),
            ["192.0.2.7", "192.0.2.99", "192.0.2.255", "192.0.2.0"]
        );
        assert_eq!(taken("192.0.2.7", 31, None), ["192.0.2.7"]);
        assert_eq!(taken("192.0.2.7", 32, None), ["192.0.2.7"]);
        assert_eq!(taken("2001:db8::7", 64, None), ["2001:db8::7", "2001:db8::"]);
        assert_eq!(taken("2001:db8::7", 127, None), ["2001:db8::7"]);
        assert_eq!(taken("2001:db8::7", 128, None), ["2001:db8::7"]);
        // No kernel says so.
        assert_eq!(taken("192.0.2.7", 33, None), ["192.0.2.7"]);
    }

    #[test]
    fn the_own_end_of_a_point_to_point_link_is_taken() {
        let mut message = vec![2, 32, 0, 0, 1, 0, 0, 0];
        for (kind, octets) in [(libc::IFA_ADDRESS, [192, 0, 2, 1]), (libc::IFA_LOCAL, [192, 0, 2, 2])] {
            message.extend(8u16.to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend(octets);
        }
        let assigned = Assigned::deserialize(&NetlinkHeader::default(), &message).unwrap();
        let own = Some(IpAddr::from([192, 0, 2, 2]));
        assert_eq!(assigned, Assigned { own, prefix_length: 32, broadcast: None });
    }

    #[test]
    fn what_every_host_has_is_among_the_addresses_of_this_one() {
        let local = local_addresses().unwrap();
        for address in ["127.0.0.1", "255.255.255.255", "224.0.0.1", "ff02::1"] {
            assert!(local.contains(&address.parse().unwrap()), "{address}");
        }
    }
}
