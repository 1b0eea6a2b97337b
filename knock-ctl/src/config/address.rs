//! How addresses and prefixes are written.

use std::net::IpAddr;

use ipnet::IpNet;

use super::report::Fault;
use super::scalar;
use super::tree::Node;

/// A single address; an IPv4-mapped one (RFC 4291, 2.5.5.2) is the IPv4 address.
pub(super) fn address(node: &Node) -> Result<IpAddr, Fault> {
    let text = scalar::text(node, "an address in quotes", "\"192.0.2.7\" or \"2001:db8::7\"")?;
    text.parse().map(|address: IpAddr| address.to_canonical()).map_err(|_| {
        let help = match text.parse::<IpNet>() {
            Ok(_) => "write a single address, without a prefix length",
            Err(_) => "write one as in \"192.0.2.7\" or \"2001:db8::7\", not a host name",
        };
        node.fault(format!("{text:?} is not an address"), help)
    })
}

/// A prefix, or an address for the prefix of it alone.
pub(super) fn prefix(node: &Node) -> Result<IpNet, Fault> {
    const EXAMPLES: &str = "\"192.0.2.0/24\", \"2001:db8::/32\" or a single address";
    let text = scalar::text(node, "an address or prefix in quotes", EXAMPLES)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| node.fault(format!("{text:?} is not a prefix"), format!("write {EXAMPLES}")))?;
    if net.addr() != net.network() {
        return Err(node.fault(
            format!("{text:?} has bits behind its prefix"),
            format!("write \"{}\" for the network or \"{}\" for the address", net.trunc(), net.addr()),
        ));
    }
    if matches!(net.network(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err(node.fault(
            format!("{text:?} is an IPv4 prefix in IPv6 notation, which no packet carries"),
            "write the IPv4 prefix, as in \"192.0.2.0/24\"",
        ));
    }
    Ok(net)
}
