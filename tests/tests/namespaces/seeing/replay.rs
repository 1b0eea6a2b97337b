//! A capture, replayed under the same rules, has the kernel's verdicts.

use std::collections::BTreeMap;

use knock_tests::lab::{INTERFACE, Machine, equipped_with, privileged};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::site::*;

#[test]
fn a_capture_of_tcpdump_has_the_verdicts_of_the_kernel() {
    if !privileged() || !equipped_with("tcpdump") {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach(&[]);
    let server = Machine::Server.v4();
    // On the way to the server nobody has judged them yet: the server's own capture is behind the filter.
    let capture = site.file("client.pcap");
    let words = ["tcpdump", "-i", INTERFACE, "-U", "--immediate-mode", "-Z", "root", "-w", text(&capture)];
    let filter = ["tcp", "and", "host", &server.to_string()].map(str::to_owned);
    let words = [&words[..], &filter.each_ref().map(String::as_str)].concat();
    let mut tcpdump = lab.spawn_in(Machine::Client, &words).unwrap();
    tcpdump.expect_line("listening on", limit()).unwrap();
    let before = site.status();

    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7000", "8000", "5"]);
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    let mut stream = connect(lab, Machine::Client, server, SSH).stream();
    assert!(carries_data(&mut stream, limit()));
    let after = site.status();
    let moved = |reason: &str| {
        let count = |status: &Value| status["counters"]["by_reason"][reason].as_u64().unwrap();
        count(&after) - count(&before)
    };
    let counted = ["no_grant", "knock", "unlisted", "granted", "flow"].map(|reason| (reason, moved(reason)));
    // The answer that carried the data was captured, and so was all before it.
    tcpdump.signal(Signal::SIGINT).unwrap();
    tcpdump.wait(limit()).unwrap();

    let (config, capture, client) =
        (site.config(), text(&capture).to_owned(), Machine::Client.v4().to_string());
    let replay = |more: &[&str]| {
        let local = server.to_string();
        let words = ["replay", &capture, "--config", text(&config), "--local", &local];
        let output = site.knock_ctl(&[&words[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines: Vec<Value> =
        replay(&["--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, packets) = lines.split_last().unwrap();
    let by_reason = &summary["summary"]["by_reason"];
    let replayed = counted.map(|(reason, _)| (reason, by_reason[reason].as_u64().unwrap()));
    // The client acknowledges the data when it likes.
    let known = |counts: [(&'static str, u64); 5]| {
        let mut counts = BTreeMap::from(counts);
        let flow = counts.remove("flow").unwrap();
        assert!(flow >= 2, "{flow}");
        counts
    };
    assert_eq!(known(replayed), known(counted));
    assert_eq!(summary["summary"]["opened"], serde_json::json!({ "ssh": 1 }));
    assert!(summary["summary"]["leaving"].as_u64().unwrap() > 0, "{summary}");
    let events: Vec<&str> = packets
        .iter()
        .filter(|packet| packet["source"] == client.as_str())
        .flat_map(|packet| packet["effects"].as_array().unwrap())
        .map(|effect| effect["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["stage", "stage", "reset", "stage", "stage", "open"]);

    let in_words = replay(&[]);
    assert!(
        in_words.contains(&format!("  {client}  {server}  9000/tcp  pass  knock  ssh: opened\n")),
        "{in_words}"
    );
    assert!(in_words.contains(&format!("  {client}  {server}  22/tcp  drop  no_grant\n")), "{in_words}");
    let quiet = replay(&["--quiet"]);
    assert!(in_words.ends_with(&quiet) && quiet.lines().count() < 12, "{quiet}");
}
