//! Whether this host passes packets on that are not for itself.

use std::{fmt, fs, io};

use super::link::has_members;
use super::{InterfaceError, InterfaceFacts, InterfaceName};

/// How packets that are not for this host come through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// A sysctl is on, named by its path under /proc/sys.
    Setting(String),
    /// The interface is tied to others by a bridge or switch.
    Port { interface: InterfaceName, of: &'static str },
    /// The interface is a bridge that ties others together.
    Bridge(InterfaceName),
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As sysctl(8) writes it, where an interface has a dot in its name.
            Self::Setting(path) => {
                let swap = |character| match character {
                    '/' => '.',
                    '.' => '/',
                    other => other,
                };
                write!(f, "{} = 1", path.chars().map(swap).collect::<String>())
            }
            Self::Port { interface, of } => write!(f, "{interface} is a port of {of}"),
            Self::Bridge(interface) => write!(f, "{interface} is a bridge with ports"),
        }
    }
}

/// The first way found on which packets for others come in by one of these interfaces.
///
/// # Errors
/// [`InterfaceError::Setting`] where /proc does not tell whether IPv4 is forwarded.
pub fn forwarding(
    interfaces: &[(&InterfaceName, InterfaceFacts)],
) -> Result<Option<Forwarding>, InterfaceError> {
    for path in settings(interfaces.iter().map(|(name, _)| *name)) {
        if is_on(&path)? {
            return Ok(Some(Forwarding::Setting(path)));
        }
    }
    for (name, facts) in interfaces {
        if let Some(forwarding) = by_bridge(name, facts, has_members)? {
            return Ok(Some(forwarding));
        }
    }
    Ok(None)
}

/// There whatever else is, where /proc is: the one for all interfaces of IPv4.
const IPV4: &str = "net/ipv4/ip_forward";

/// Those that the kernel looks at: IPv4's is that of the interface a packet comes in by, IPv6's are both
/// (ip_route_input_slow() in net/ipv4/route.c, ip6_forward() in net/ipv6/ip6_output.c).
fn settings<'a>(interfaces: impl Iterator<Item = &'a InterfaceName>) -> Vec<String> {
    let of_all = [IPV4, "net/ipv6/conf/all/forwarding"].map(str::to_owned);
    let of_each = interfaces.flat_map(|name| {
        [format!("net/ipv4/conf/{name}/forwarding"), format!("net/ipv6/conf/{name}/force_forwarding")]
    });
    of_all.into_iter().chain(of_each).collect()
}

/// A setting that this kernel does not have is off.
fn is_on(path: &str) -> Result<bool, InterfaceError> {
    match fs::read_to_string(format!("/proc/sys/{path}")) {
        Ok(value) => Ok(value.trim() != "0"),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path != IPV4 => Ok(false),
        Err(source) => Err(InterfaceError::Setting { path: path.to_owned(), source }),
    }
}

fn by_bridge<E>(
    name: &InterfaceName,
    facts: &InterfaceFacts,
    has_members: impl FnOnce(u32) -> Result<bool, E>,
) -> Result<Option<Forwarding>, E> {
    if let Some(of) = facts.master.as_ref().and_then(|master| switch(&master.kind)) {
        return Ok(Some(Forwarding::Port { interface: name.clone(), of }));
    }
    let is_switch = facts.kind.as_deref().and_then(switch).is_some();
    Ok((is_switch && has_members(facts.index)?).then(|| Forwarding::Bridge(name.clone())))
}

/// What an interface of this kind is, if it passes packets on between others; a bond or a VRF does not.
pub(super) fn switch(kind: &str) -> Option<&'static str> {
    match kind {
        "bridge" => Some("a bridge"),
        "openvswitch" => Some("an Open vSwitch"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Master, describe};

    fn name(text: &str) -> InterfaceName {
        text.parse().unwrap()
    }

    fn facts(kind: Option<&str>, master: Option<&str>) -> InterfaceFacts {
        InterfaceFacts {
            kind: kind.map(str::to_owned),
            master: master.map(|kind| Master { index: 9, kind: kind.to_owned() }),
            ..describe(&name("lo")).unwrap()
        }
    }

    fn by(kind: Option<&str>, master: Option<&str>, members: bool) -> Option<String> {
        let found = by_bridge(&name("eth0"), &facts(kind, master), |_| Ok::<_, InterfaceError>(members));
        found.unwrap().map(|forwarding| forwarding.to_string())
    }

    #[test]
    fn bridges_and_their_ports_pass_packets_on() {
        assert_eq!(by(None, None, true), None);
        assert_eq!(by(None, Some("bond"), true), None);
        assert_eq!(by(Some("bond"), None, true), None);
        assert_eq!(by(Some("veth"), Some("vrf"), true), None);
        assert_eq!(by(Some("bridge"), None, false), None);
        assert_eq!(by(Some("bridge"), None, true).as_deref(), Some("eth0 is a bridge with ports"));
        assert_eq!(by(None, Some("bridge"), false).as_deref(), Some("eth0 is a port of a bridge"));
        assert_eq!(
            by(None, Some("openvswitch"), false).as_deref(),
            Some("eth0 is a port of an Open vSwitch")
        );
    }

    #[test]
    fn settings_are_named_as_sysctl_takes_them() {
        let names = [name("eth0.100")];
        let shown = settings(names.iter()).into_iter().map(|path| Forwarding::Setting(path).to_string());
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "net.ipv4.ip_forward = 1",
                "net.ipv6.conf.all.forwarding = 1",
                "net.ipv4.conf.eth0/100.forwarding = 1",
                "net.ipv6.conf.eth0/100.force_forwarding = 1",
            ]
        );
    }

    #[test]
    fn only_the_setting_of_all_must_be_there() {
        assert!(!is_on("net/ipv4/conf/no-such-link/forwarding").unwrap());
        assert!(is_on(IPV4).is_ok());
    }
}
