//! Connections through the server to a machine behind it: no socket here tells of them, connection tracking does.

use std::net::IpAddr;

use knock_tests::lab::{Machine, privileged};

use crate::site::*;

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
    load_ruleset(lab, ruleset);
    let mut streams = targets.map(|(to, port)| connect(lab, Machine::Client, to, port).stream());
    let mut controller = site.attach(&[]);
    assert_eq!(controller.count("2 connections that were there before go on"), 1);
    for ((to, port), stream) in targets.iter().zip(&mut streams) {
        assert!(carries_data(stream, limit()));
        for machine in [Machine::Client, Machine::Stranger] {
            assert!(connect(lab, machine, *to, *port).is_silence());
        }
    }
    assert_eq!(service.accepted(), 2);
    for (number, (to, port)) in targets.into_iter().enumerate() {
        let server = [Machine::Server.v4(), Machine::Server.v6()][number];
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        controller.expect("ssh: OPEN SESAME");
        assert!(carries_data(&mut connect(lab, Machine::Client, to, port).stream(), limit()));
        assert!(connect(lab, Machine::Stranger, to, port).is_silence());
    }
}
