//! The default route, by rtnetlink(7).

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, Parseable};
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::{InterfaceError, InterfaceName, name_of};
use crate::netlink::{Scope, ask};

/// The interface of the default route with the lowest metric, of IPv4's, else of IPv6's; `None` where there is no default
/// route in the main table. Of a multipath route it is the first hop's.
pub fn default_route_interface() -> Result<Option<InterfaceName>, InterfaceError> {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        let routes: Vec<Route> = ask(NETLINK_ROUTE, Scope::All, RouteNetlinkMessage::GetRoute(request))
            .map_err(InterfaceError::Routes)?;
        let best = routes.into_iter().filter_map(|route| route.0).min_by_key(|route| route.metric);
        if let Some(name) = best.and_then(|route| name_of(route.interface)?.parse().ok()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// A default route of the main table, `None` for any other route. Those are not read, of which there can be a million,
/// with attributes of every kind.
struct Route(Option<DefaultRoute>);

#[derive(Debug, PartialEq, Eq)]
struct DefaultRoute {
    interface: u32,
    metric: u32,
}

impl NetlinkDeserializable for Route {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let header = RouteHeader::parse(payload)?;
        let is_default = header.destination_prefix_length == 0
            && header.table == RouteHeader::RT_TABLE_MAIN
            && header.kind == RouteType::Unicast;
        if !is_default {
            return Ok(Self(None));
        }
        Ok(Self(default_route(&RouteMessage::parse(payload)?.attributes)))
    }
}

fn default_route(attributes: &[RouteAttribute]) -> Option<DefaultRoute> {
    let (mut interface, mut metric) = (None, 0);
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::MultiPath(hops) => {
                interface = interface.or(hops.first().map(|hop| hop.interface_index));
            }
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => {}
        }
    }
    Some(DefaultRoute { interface: interface?, metric })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::route::RouteNextHop;

    use super::*;

    #[test]
    fn the_interface_is_the_routes_own_or_its_first_hops() {
        let single = [RouteAttribute::Priority(100), RouteAttribute::Oif(3)];
        assert_eq!(default_route(&single), Some(DefaultRoute { interface: 3, metric: 100 }));
        let hops = [4, 5].map(|index| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = index;
            hop
        });
        let multipath = [RouteAttribute::MultiPath(hops.to_vec())];
        assert_eq!(default_route(&multipath), Some(DefaultRoute { interface: 4, metric: 0 }));
        assert_eq!(default_route(&[]), None);
    }

    #[test]
    fn the_default_interface_exists_where_one_is_named() {
        if let Some(name) = default_route_interface().unwrap() {
            assert!(crate::interface::describe(&name).is_ok(), "{name}");
        }
    }
}
