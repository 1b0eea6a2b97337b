//! Interfaces that the filter does not belong on, because packets come by another one, or for others.

use super::forwarding::switch;
use super::{InterfaceFacts, InterfaceName, name_of};

/// Why the filter does not belong on an interface, and where it does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    #[error(
        "{name} carries packets without an Ethernet header, as tunnels do, and the filter reads that header: it would let \
         everything pass there; close {name} with nftables, or filter where its packets come out"
    )]
    NoEthernet { name: InterfaceName },
    #[error(
        "{name} is a member of the {kind} {master}, whose packets come by its other members too; attach to that: \
         `knock-ctl attach {master}`"
    )]
    Member { name: InterfaceName, kind: &'static str, master: String },
    #[error(
        "{name} is a VLAN of {parent}, and the filter reads VLAN tags there, before the kernel takes them off; attach to \
         that: `knock-ctl attach {parent}`"
    )]
    Vlan { name: InterfaceName, parent: String },
    #[error(
        "{name} is a VLAN of an interface in another network namespace, and the filter reads VLAN tags there; attach to \
         that, in its own namespace"
    )]
    VlanFromElsewhere { name: InterfaceName },
    #[error(
        "{name} is a port of {kind}, {master}: what others send each other through it would be filtered too; write \
         destinations = [\"local\"] under [filter] to filter only what is sent to this machine itself"
    )]
    Port { name: InterfaceName, kind: &'static str, master: String },
}

/// Why the filter does not belong on an interface. `for_all`: it is for packets to whatever address.
pub fn misplaced(name: &InterfaceName, facts: &InterfaceFacts, for_all: bool) -> Option<Misplaced> {
    of_facts(name, facts, for_all, &|index| name_of(index).unwrap_or_else(|| format!("interface {index}")))
}

fn of_facts(
    name: &InterfaceName,
    facts: &InterfaceFacts,
    for_all: bool,
    name_of: &dyn Fn(u32) -> String,
) -> Option<Misplaced> {
    let name = name.clone();
    if !facts.ethernet {
        return Some(Misplaced::NoEthernet { name });
    }
    if let Some(master) = &facts.master {
        if let Some(kind) = ["bond", "team"].into_iter().find(|kind| *kind == master.kind) {
            return Some(Misplaced::Member { name, kind, master: name_of(master.index) });
        }
        if for_all && let Some(kind) = switch(&master.kind) {
            return Some(Misplaced::Port { name, kind, master: name_of(master.index) });
        }
    }
    let is_vlan = facts.kind.as_deref() == Some("vlan");
    is_vlan.then(|| match facts.lower {
        Some(parent) => Misplaced::Vlan { name, parent: name_of(parent) },
        None => Misplaced::VlanFromElsewhere { name },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Master, describe};

    /// What is wrong with an interface eth0 of this kind, parent and kind of master.
    fn of(kind: Option<&str>, lower: Option<u32>, master: Option<&str>, for_all: bool) -> Option<String> {
        let name: InterfaceName = "eth0".parse().unwrap();
        let facts = InterfaceFacts {
            kind: kind.map(str::to_owned),
            lower,
            master: master.map(|kind| Master { index: 7, kind: kind.to_owned() }),
            ..describe(&"lo".parse().unwrap()).unwrap()
        };
        let name_of = |index| match index {
            7 => "above".to_owned(),
            8 => "below".to_owned(),
            _ => unreachable!(),
        };
        of_facts(&name, &facts, for_all, &name_of).map(|misplaced| misplaced.to_string())
    }

    #[test]
    fn members_are_refused_for_what_they_are_members_of() {
        for kind in ["bond", "team"] {
            for for_all in [true, false] {
                let text = of(None, None, Some(kind), for_all).unwrap();
                assert!(text.starts_with(&format!("eth0 is a member of the {kind} above,")), "{text}");
                assert!(text.ends_with("`knock-ctl attach above`"), "{text}");
            }
        }
        assert_eq!(of(Some("bond"), None, None, true), None, "the bond itself is the right place");
    }

    #[test]
    fn vlans_are_refused_for_their_parents() {
        let text = of(Some("vlan"), Some(8), None, false).unwrap();
        assert!(text.starts_with("eth0 is a VLAN of below, and the filter reads VLAN tags there"), "{text}");
        assert!(text.ends_with("`knock-ctl attach below`"), "{text}");
        let text = of(Some("vlan"), None, None, false).unwrap();
        assert!(text.contains("in another network namespace"), "{text}");
        for kind in ["veth", "macvlan"] {
            assert_eq!(of(Some(kind), Some(8), None, true), None, "{kind}");
        }
    }

    #[test]
    fn ports_are_refused_where_everything_would_be_filtered() {
        for (kind, shown) in [("bridge", "a bridge"), ("openvswitch", "an Open vSwitch")] {
            let text = of(Some("veth"), None, Some(kind), true).unwrap();
            assert!(text.starts_with(&format!("eth0 is a port of {shown}, above: ")), "{text}");
            assert!(text.contains("destinations = [\"local\"]"), "{text}");
            assert_eq!(of(Some("veth"), None, Some(kind), false), None);
        }
        assert_eq!(of(None, None, Some("vrf"), true), None);
    }
}
