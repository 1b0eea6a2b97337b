//! Machines behind the server, as containers are, and how it passes packets on to them.

use std::fs;
use std::process::Stdio;

use crate::lab::{Lab, Machine};
use knock_lab::Namespace;

/// The addresses of the machine behind the server.
pub const BEHIND: [&str; 2] = ["10.88.0.2", "fd00:88::2"];

/// A machine that the others reach by way of the server alone.
pub fn put_behind_server(lab: &Lab) -> Namespace {
    let server = lab.namespace(Machine::Server);
    let behind = Namespace::new(format!("{}-behind", server.name())).unwrap();
    server.ip(&format!("link add behind type veth peer name eth0 netns {}", behind.name())).unwrap();
    for (machine, interface, addresses) in
        [(server, "behind", ["10.88.0.1", "fd00:88::1"]), (&behind, "eth0", BEHIND)]
    {
        let [v4, v6] = addresses;
        machine.ip(&format!("address add {v4}/24 dev {interface}")).unwrap();
        machine.ip(&format!("address add {v6}/64 dev {interface} nodad")).unwrap();
        machine.ip(&format!("link set {interface} up")).unwrap();
    }
    behind.ip("route add default via 10.88.0.1").unwrap();
    behind.ip("route add default via fd00:88::1").unwrap();
    for machine in [Machine::Client, Machine::Stranger].map(|machine| lab.namespace(machine)) {
        machine.ip(&format!("route add 10.88.0.0/24 via {}", Machine::Server.v4())).unwrap();
        machine.ip(&format!("route add fd00:88::/64 via {}", Machine::Server.v6())).unwrap();
    }
    let forward = || {
        for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            fs::write(format!("/proc/sys/net/{setting}"), "1").unwrap();
        }
    };
    server.enter(forward).unwrap();
    behind
}

/// Has the server's kernel follow an nft(8) ruleset.
pub fn load_ruleset(lab: &Lab, ruleset: &str) {
    let mut nft = lab.namespace(Machine::Server).command("nft");
    let output = nft.arg(ruleset).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
