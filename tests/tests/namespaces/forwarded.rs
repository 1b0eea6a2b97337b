//! Connections through the server to a machine behind it: no socket here tells of them, connection tracking does.

use std::fs;
use std::net::IpAddr;
use std::process::Stdio;

use knock_lab::Namespace;
use knock_tests::lab::{Lab, Machine, privileged};

use crate::site::*;

/// The addresses of the machine behind the server.
const BEHIND: [&str; 2] = ["10.88.0.2", "fd00:88::2"];

const PORT_BEHIND: u16 = 2222;

#[test]
fn routed_connections_go_on() {
    // Only a ruleset that asks for it has the kernel track connections.
    let ruleset = "table inet lab {
        chain forward { type filter hook forward priority 0; ct state established accept; }
    }";
    go_on(ruleset, BEHIND.map(|address| (address.parse().unwrap(), PORT_BEHIND)));
}

#[test]
fn translated_connections_go_on() {
    let [behind_4, behind_6] = BEHIND;
    let ruleset = format!(
        "table inet lab {{
            chain prerouting {{
                type nat hook prerouting priority -100;
                meta nfproto ipv4 tcp dport {SSH} dnat ip to {behind_4}:{PORT_BEHIND};
                meta nfproto ipv6 tcp dport {SSH} dnat ip6 to [{behind_6}]:{PORT_BEHIND};
            }}
        }}"
    );
    go_on(&ruleset, [(Machine::Server.v4(), SSH), (Machine::Server.v6(), SSH)]);
}

/// Connections to `targets` that are there before the filter go on, and new ones have to knock.
fn go_on(ruleset: &str, targets: [(IpAddr, u16); 2]) {
    if !privileged() {
        return;
    }
    let site = Site::new("[doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\", \"2222/tcp\"]\n");
    let lab = &site.lab;
    let behind = put_behind_server(lab);
    let service = Service::start_on(&behind, PORT_BEHIND);
    load(lab, ruleset);
    let mut streams = targets.map(|(to, port)| connect(lab, Machine::Client, to, port).stream());
    let mut controller = site.attach(&[]);
    assert_eq!(controller.count("2 connections that were there before go on"), 1);
    for ((to, port), stream) in targets.iter().zip(&mut streams) {
        assert!(carries_data(stream, LIMIT));
        for machine in [Machine::Client, Machine::Stranger] {
            assert!(connect(lab, machine, *to, *port).is_silence());
        }
    }
    assert_eq!(service.accepted(), 2);
    for (number, (to, port)) in targets.into_iter().enumerate() {
        let server = [Machine::Server.v4(), Machine::Server.v6()][number];
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        controller.expect("ssh: OPEN SESAME");
        assert!(carries_data(&mut connect(lab, Machine::Client, to, port).stream(), LIMIT));
        assert!(connect(lab, Machine::Stranger, to, port).is_silence());
    }
}

/// A machine that the others reach by way of the server alone.
fn put_behind_server(lab: &Lab) -> Namespace {
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
fn load(lab: &Lab, ruleset: &str) {
    let mut nft = lab.namespace(Machine::Server).command("nft");
    let output = nft.arg(ruleset).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
