//! What `why` says of a source is what then happens.

use std::net::IpAddr;

use knock_tests::lab::{Machine, privileged};
use serde_json::{Value, json};

use crate::site::*;

const RULES: &str = "[filter]\npublic = [\"80/tcp\"]\nprotected = [\"8100-8200/tcp\"]\n";

fn why(site: &Site, address: IpAddr, more: &[&str]) -> Value {
    let address = address.to_string();
    let output = site.knock_ctl(&[&["why", &address, "--json"], more].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The verdict and reason for its next packet to each port, and what that does.
fn next(why: &Value) -> Vec<(&str, &str, &str, Vec<&str>)> {
    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }
    why["next"]
        .as_array()
        .unwrap()
        .iter()
        .map(|next| {
            let effects = next["effects"].as_array().unwrap().iter().map(text).collect();
            (text(&next["port"]), text(&next["verdict"]), text(&next["reason"]), effects)
        })
        .collect()
}

/// Sends a SYN to a port, and says under which reason it was counted, of those that may be.
fn sent(site: &Site, from: Machine, to: IpAddr, port: u16) -> String {
    const REASONS: [&str; 6] = ["no_grant", "granted", "public", "unlisted", "knock", "policy_drop"];
    let counts = || REASONS.map(|reason| site.counted(reason));
    let before = counts();
    let _ = connect(&site.lab, from, to, port);
    let mut moved = Vec::new();
    eventually("the packet is counted", || {
        let after = counts();
        moved = (0..REASONS.len()).filter(|&index| after[index] != before[index]).collect();
        !moved.is_empty()
    });
    assert_eq!(moved.len(), 1, "{before:?}");
    REASONS[moved[0]].to_owned()
}

#[test]
fn its_verdicts_are_those_of_the_next_packets_with_no_controller() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("{RULES}{SSH_DOOR}"));
    let lab = &site.lab;
    let _services = [Service::start(lab, SSH), Service::start(lab, 80)];
    site.attach(&[]).kill();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let [client, stranger] =
            [Machine::Client, Machine::Stranger].map(|machine| machine.of_family(server));

        // A stranger.
        let report = why(&site, stranger, &[]);
        assert_eq!(report["to"], server.to_string());
        assert_eq!((&report["attempt"], &report["grants"]), (&json!(null), &json!([])));
        let expected = [
            ("22/tcp", "drop", "no_grant", vec![]),
            ("80/tcp", "pass", "public", vec![]),
            ("8100-8200/tcp", "drop", "no_grant", vec![]),
            ("any other/tcp", "pass", "unlisted", vec![]),
        ];
        assert_eq!(next(&report), expected);
        for (port, (_, _, reason, _)) in [SSH, 80, 8150, 1].into_iter().zip(&expected) {
            assert_eq!(sent(&site, Machine::Stranger, server, port), *reason, "{port}");
        }

        // In the middle of its sequence.
        stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7000", "8000"]);
        eventually("both knocks have arrived", || why(&site, client, &[])["attempt"]["steps"] == 2);
        let report = why(&site, client, &["9000/tcp"]);
        assert_eq!(report["attempt"]["doors"], json!(["ssh"]));
        assert_eq!(report["attempt"]["complete"], false);
        assert_eq!(next(&report), [("9000/tcp", "pass", "knock", vec!["ssh: opened"])]);
        assert_eq!(
            next(&why(&site, client, &["1/tcp"])),
            [("1/tcp", "pass", "unlisted", vec!["attempt reset"])]
        );
        assert_eq!(next(&why(&site, client, &["22/tcp"])), [("22/tcp", "drop", "no_grant", vec![])]);
        // To ask changes nothing.
        assert_eq!(why(&site, client, &[])["attempt"]["steps"], 2);
        assert_eq!(sent(&site, Machine::Client, server, 9000), "knock");

        // Granted.
        let report = why(&site, client, &["22/tcp"]);
        assert_eq!(report["attempt"]["complete"], true);
        assert_eq!(report["grants"][0]["door"], "ssh");
        assert_eq!(next(&report), [("22/tcp", "pass", "granted", vec![])]);
        assert_eq!(report["connections"]["established"], 0);
        assert_eq!(sent(&site, Machine::Client, server, SSH), "granted");
        let report = why(&site, client, &["22/tcp"]);
        assert_eq!(report["unanswered"], json!([]));
        let connections = report["connections"].as_object().unwrap().values();
        assert_eq!(connections.map(|count| count.as_u64().unwrap()).sum::<u64>(), 1, "{report}");
    }
    let text = site.knock_ctl(&["why", &Machine::Stranger.v4().to_string(), "22/tcp"]);
    let text = String::from_utf8(text.stdout).unwrap();
    let rule = "22/tcp       drop     no_grant  the port is closed, and no grant of the source opens it or has a connection left";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn what_netfilter_drops_behind_the_filter_is_told_from_what_the_filter_does() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _controller = site.attach(&[]);
    let server = Machine::Server.v4();
    let rules = "add table ip knock; add chain ip knock in { type filter hook input priority 0; }; \
                 add rule ip knock in tcp dport 22 drop";
    site.run(Machine::Server, &["nft", rules]);
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    eventually("the connection has been half-open for a second", || {
        let report = why(&site, Machine::Client.v4(), &["22/tcp"]);
        assert_eq!(next(&report), [("22/tcp", "pass", "granted", vec![])]);
        report["unanswered"][0]["granted"] == "ssh"
    });
    let text = site.knock_ctl(&["why", &Machine::Client.v4().to_string()]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains(
            "ago a first packet passed under the grant of ssh, and the client was not heard of since"
        ),
        "{text}"
    );
}

#[test]
fn held_and_trusted_sources_are_told_and_what_has_no_answer_is_an_error() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let output = site.knock_ctl(&["why", "192.0.2.1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("the filter is not attached"));
    let client = Machine::Client.v4();
    site.configure(&format!(
        "[filter]\npolicy = \"drop\"\ndestinations = [\"local\"]\n\
         trusted = [{{ from = \"{client}\", to = [\"9100/tcp\"] }}]\n[scanners]\nports = 3\n"
    ));
    let _controller = site.attach(&[]);
    let stranger = Machine::Stranger.v4();
    for port in 1..=4 {
        let _ = connect(&site.lab, Machine::Stranger, Machine::Server.v4(), port);
    }
    let report = why(&site, stranger, &["5/tcp"]);
    assert!(report["held_for_ms"].as_u64().unwrap() > 500_000, "{report}");
    assert_eq!(next(&report), [("5/tcp", "drop", "held", vec![])]);
    let report = why(&site, client, &["9100/tcp"]);
    assert_eq!((&report["trusted"], &report["held_for_ms"]), (&json!("some_ports"), &json!(null)));
    assert_eq!(next(&report), [("9100/tcp", "pass", "trusted", vec![])]);
    assert_eq!(next(&why(&site, client, &["9101/tcp"])), [("9101/tcp", "drop", "policy_drop", vec![])]);
    let elsewhere = why(&site, client, &["9101/tcp", "--to", "192.0.2.99"]);
    assert_eq!(next(&elsewhere), [("9101/tcp", "pass", "not_ours", vec![])]);

    let no_way = site.knock_ctl(&["why", "192.0.2.1"]);
    assert_eq!(no_way.status.code(), Some(1));
    assert!(String::from_utf8(no_way.stderr).unwrap().contains("say with --to where the packet is sent"));
    let mixed = site.knock_ctl(&["why", "192.0.2.1", "--to", "::1"]);
    assert_eq!(mixed.status.code(), Some(1));
}

#[test]
fn knocks_out_of_order_are_said_to_be() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    site.attach(&[]).kill();
    let (server, client) = (Machine::Server.v4(), Machine::Client.v4());
    stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7000", "9000", "8000"]);
    let mut report = Value::Null;
    eventually("the attempt was broken off", || {
        report = why(&site, client, &[]);
        !report["broken_off"].is_null()
    });
    assert_eq!((&report["attempt"], &report["broken_off"]["steps"]), (&json!(null), &json!(1)));
    assert_eq!(report["broken_off"]["cause"], json!({ "out_of_order": { "doors": ["ssh"] } }));
    let text = site.knock_ctl(&["why", &client.to_string()]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("its knocks arrived out of order"), "{text}");
    assert!(!text.contains("9000"), "knocks are secrets: {text}");

    // The note is in nobody's way.
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    eventually("the right order opens", || why(&site, client, &[])["grants"][0]["door"] == "ssh");
    assert_eq!(why(&site, client, &[])["broken_off"], json!(null));
}
