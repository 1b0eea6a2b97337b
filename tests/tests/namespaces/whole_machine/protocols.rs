//! What is neither TCP nor UDP, and a filter that only looks on.

use std::net::IpAddr;

use knock_tests::lab::Machine;
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ESP, SCTP};

use super::{FAMILIES, closed_site, dropped};
use crate::site::*;

in_each_mode!(
    strangers_pings_are_answered_unless_forbidden,
    listed_protocols_pass,
    an_audit_tells_what_would_be_dropped,
);

fn strangers_pings_are_answered_unless_forbidden(mode: Mode) {
    for allowed in [true, false] {
        let site = closed_site(&format!("ping = {allowed}"), "");
        let lab = &site.lab;
        let _controller = site.attach_in(mode);
        let ping = |from, to: IpAddr, wait: &str| {
            let words = ["ping", "-n", "-c", "1", "-W", wait, &to.to_string()];
            lab.run_in(from, &words).unwrap().status.success()
        };
        for address in FAMILIES {
            let wait = if allowed { "10" } else { "1" };
            assert_eq!(ping(Machine::Stranger, address(Machine::Server), wait), allowed);
            assert!(ping(Machine::Server, address(Machine::Stranger), "10"), "its own are its own");
        }
        assert_eq!(dropped(&site), if allowed { 0 } else { 2 });
    }
}

fn listed_protocols_pass(mode: Mode) {
    let site = closed_site("protocols = [\"gre\", 50]", "");
    let _controller = site.attach_in(mode);
    let socket = site.lab.raw_socket(Machine::Stranger).unwrap();
    let counts = || ["other_protocol", "policy_drop"].map(|reason| site.counted(reason));
    for address in FAMILIES {
        let (from, to) = (address(Machine::Stranger), address(Machine::Server));
        let of = |protocol| Frame::protocol(from, to, protocol).payload(&[0; 40]);
        for (frame, passed) in [(Frame::gre(from, to), 1), (of(ESP), 1), (of(SCTP), 0), (of(255), 0)] {
            let [other_protocol, policy_drop] = counts();
            socket.send(&frame.build()).unwrap();
            eventually("it is counted", || counts() == [other_protocol + passed, policy_drop + 1 - passed]);
        }
    }
}

fn an_audit_tells_what_would_be_dropped(mode: Mode) {
    let site = closed_site("public = [\"80/tcp\"]", "");
    let lab = &site.lab;
    let _services = [80, 8080, SSH].map(|port| Service::start(lab, port));
    for address in FAMILIES {
        echo_datagrams(lab, Machine::Server, address(Machine::Server), 4500);
    }
    let _controller = site.attach(&["--mode", mode.name(), "--audit"]);
    for address in FAMILIES {
        let server = address(Machine::Server);
        for port in [80, 8080, SSH] {
            assert!(carries_data(&mut connect(lab, Machine::Stranger, server, port).stream(), limit()));
        }
        let socket = udp_socket(lab, Machine::Stranger, address(Machine::Stranger), 0);
        // The answer to the first must not pass the second for part of a flow.
        for _ in 0..2 {
            socket.send_to(b"ping", (server, 4500)).unwrap();
            socket.recv(&mut [0; 16]).unwrap();
        }
    }
    assert_eq!(dropped(&site), 0);
    let listing = site.knock_ctl(&["drops", "--json"]).stdout;
    let listing: serde_json::Value = serde_json::from_slice(&listing).unwrap();
    let of_port = |port: &str| -> Vec<(String, u64)> {
        let drops = listing["drops"].as_array().unwrap().iter();
        drops
            .filter(|drop| drop["port"] == port)
            .map(|drop| (drop["reason"].as_str().unwrap().to_owned(), drop["count"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(of_port("4500/udp"), [("policy_drop".to_owned(), 4)], "{listing}");
    // At least what opens a connection, completes it, and data.
    assert!(matches!(&of_port("8080/tcp")[..], [(reason, 6..)] if reason == "policy_drop"), "{listing}");
    assert!(matches!(&of_port("22/tcp")[..], [(reason, 6..)] if reason == "no_grant"), "{listing}");
    assert_eq!(of_port("80/tcp"), [], "{listing}");
}
