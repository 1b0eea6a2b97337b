//! Metrics over HTTP and for a textfile collector.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use knock_tests::lab::{INTERFACE, Machine, privileged};
use serde_json::Value;

use crate::site::*;

const LISTEN: &str = "127.0.0.1:9762";

fn with_metrics(listen: &str) -> String {
    format!("[metrics]\nlisten = \"{listen}\"\n{SSH_DOOR}start_command = \"exit 3\"\n")
}

/// A site whose server has its loopback interface up.
fn site(config: &str) -> Site {
    let site = Site::new(config);
    site.run(Machine::Server, &["ip", "link", "set", "lo", "up"]);
    site
}

/// Sends a request from the server to itself; the whole answer. `None`: nobody listens.
fn request(site: &Site, at: &str, head: &str) -> Option<String> {
    let at: SocketAddr = at.parse().unwrap();
    let mut stream = site.lab.enter(Machine::Server, || TcpStream::connect(at)).unwrap().ok()?;
    stream.set_read_timeout(Some(limit())).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

fn fetch(site: &Site, at: &str) -> Option<String> {
    let answer = request(site, at, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    Some(body.to_owned())
}

/// Each sample's name with its labels, and its value.
fn samples(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// What `status --json` tells too, under the names of the metrics.
fn of_status(status: &Value) -> BTreeMap<String, u64> {
    let mut expected = BTreeMap::new();
    for (reason, count) in status["counters"]["by_reason"].as_object().unwrap() {
        let drops = ["malformed", "fragment_limit", "held", "no_grant", "policy_drop"];
        let verdict = if drops.contains(&reason.as_str()) { "drop" } else { "pass" };
        let name = format!(
            "knock_packets_total{{interface=\"{INTERFACE}\",reason=\"{reason}\",verdict=\"{verdict}\"}}"
        );
        expected.insert(name, number(count));
    }
    for door in status["doors"].as_array().unwrap() {
        let name = format!("knock_door_opened_total{{door={}}}", door["name"]);
        expected.insert(name, number(&door["opened"]));
    }
    for (table, numbers) in status["tables"].as_object().unwrap() {
        expected.insert(format!("knock_table_entries{{table=\"{table}\"}}"), number(&numbers["used"]));
        expected.insert(format!("knock_table_capacity{{table=\"{table}\"}}"), number(&numbers["max"]));
    }
    for interface in status["interfaces"].as_array().unwrap() {
        let (name, mode) = (&interface["name"], &interface["mode"]);
        expected.insert(format!("knock_interface_attached{{interface={name},mode={mode}}}"), 1);
    }
    let differs = status["config"]["differs_from_disk"].as_bool().unwrap();
    expected.insert("knock_config_differs_from_disk".to_owned(), differs.into());
    expected.insert("knock_controller_running".to_owned(), (!status["controller"].is_null()).into());
    expected.insert(format!("knock_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
    expected
}

#[test]
fn over_http_they_agree_with_status_and_without_a_controller_too() {
    if !privileged() {
        return;
    }
    let site = site(&with_metrics(LISTEN));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    let server = Machine::Server.v4();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    let _stream = connect(lab, Machine::Client, server, SSH).stream();
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    controller.expect("start command: exit status: 3");

    let of_controller = BTreeMap::from([
        ("knock_commands_total{door=\"ssh\",kind=\"start\",result=\"failed\"}".to_owned(), 1),
        ("knock_config_last_reload_successful".to_owned(), 1),
        ("knock_events_lost_total".to_owned(), 0),
        ("knock_grants_refused_total".to_owned(), 0),
    ]);
    // Neighbour discovery and the like may arrive between the looks.
    eventually("metrics and status are of one moment", || {
        let mut expected = of_status(&site.status());
        expected.extend(of_controller.clone());
        samples(&fetch(&site, LISTEN).unwrap()) == expected
    });
    let status = site.status();
    assert_eq!(status["doors"][0]["opened"], 1);
    assert_eq!(status["tables"]["grants"]["used"], 1);
    assert!(site.counted("no_grant") > 0);

    site.configure(&format!("{}# later\n", with_metrics(LISTEN)));
    assert_eq!(samples(&fetch(&site, LISTEN).unwrap())["knock_config_differs_from_disk"], 1);
    site.configure(&with_metrics(LISTEN));

    controller.kill();
    assert_eq!(fetch(&site, LISTEN), None);
    eventually("metrics and status are of one moment", || {
        let output = site.knock_ctl(&["status", "--prometheus"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = samples(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(told["knock_controller_running"], 0);
        told == of_status(&site.status())
    });
}

#[test]
fn a_reload_moves_them_and_failed_ones_are_told() {
    if !privileged() {
        return;
    }
    let site = site(&with_metrics(LISTEN));
    let _controller = site.attach(&[]);
    assert!(fetch(&site, LISTEN).is_some());
    let reload = || site.knock_ctl(&["reload"]);

    let elsewhere = "[::1]:9763";
    site.configure(&with_metrics(elsewhere));
    let dry_run = site.knock_ctl(&["reload", "--dry-run"]);
    assert_eq!(String::from_utf8(dry_run.stdout).unwrap(), "[metrics]: changed\n");
    assert!(fetch(&site, LISTEN).is_some(), "a dry run moves nothing");
    assert!(reload().status.success());
    eventually("nobody listens where the metrics were", || fetch(&site, LISTEN).is_none());
    assert_eq!(samples(&fetch(&site, elsewhere).unwrap())["knock_config_last_reload_successful"], 1);

    let taken = "127.0.0.1:9764";
    let at: SocketAddr = taken.parse().unwrap();
    let _other = site.lab.enter(Machine::Server, || TcpListener::bind(at)).unwrap().unwrap();
    site.configure(&with_metrics(taken));
    let refused = reload();
    assert_eq!(refused.status.code(), Some(1));
    let reason = String::from_utf8(refused.stderr).unwrap();
    assert!(
        reason.contains("metrics can't be served at 127.0.0.1:9764: something listens there already"),
        "{reason}"
    );
    let told = samples(&fetch(&site, elsewhere).unwrap());
    assert_eq!((told["knock_config_last_reload_successful"], told["knock_config_differs_from_disk"]), (0, 1));

    // This controller's own port at all addresses.
    site.configure(&with_metrics("[::]:9763"));
    let refused = reload();
    assert_eq!(refused.status.code(), Some(1));
    let reason = String::from_utf8(refused.stderr).unwrap();
    assert!(reason.contains("this controller itself listens at [::1]:9763; take [metrics] away"), "{reason}");

    // A change that is not confirmed moves them there and back.
    site.configure(&with_metrics(LISTEN));
    assert!(site.knock_ctl(&["reload", "--confirm", "2s"]).status.success());
    assert!(fetch(&site, LISTEN).is_some());
    eventually("they are back", || fetch(&site, elsewhere).is_some());
    eventually("and not there any more", || fetch(&site, LISTEN).is_none());
    assert_eq!(samples(&fetch(&site, elsewhere).unwrap())["knock_config_last_reload_successful"], 0);

    site.configure(SSH_DOOR);
    assert!(reload().status.success());
    eventually("nobody listens any more", || fetch(&site, elsewhere).is_none());
}

#[test]
fn a_taken_address_keeps_the_filter_off() {
    if !privileged() {
        return;
    }
    let site = site(&with_metrics(LISTEN));
    let at: SocketAddr = LISTEN.parse().unwrap();
    let _other = site.lab.enter(Machine::Server, || TcpListener::bind(at)).unwrap().unwrap();
    let output = site.knock_ctl(&["attach", INTERFACE, "--config", text(&site.config())]);
    assert_eq!(output.status.code(), Some(1));
    let reason = String::from_utf8(output.stderr).unwrap();
    let expected = "metrics can't be served at 127.0.0.1:9762: something listens there already; end it, or write another \
                    address at metrics.listen";
    assert!(reason.contains(expected), "{reason}");
    assert!(site.is_without_filter());
}

#[test]
fn only_metrics_are_served_and_slow_clients_hold_up_nothing_else() {
    if !privileged() {
        return;
    }
    let site = site(&with_metrics(LISTEN));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach(&[]);
    let first_line =
        |head: &str| request(&site, LISTEN, head).unwrap().lines().next().unwrap_or_default().to_owned();
    assert_eq!(first_line("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(
        first_line("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
        "HTTP/1.1 405 Method Not Allowed"
    );
    assert_eq!(first_line("nonsense\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(8 << 10));
    assert_eq!(first_line(&long), "HTTP/1.1 431 Request Header Fields Too Large");

    let at: SocketAddr = LISTEN.parse().unwrap();
    let slow: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = lab.enter(Machine::Server, || TcpStream::connect(at)).unwrap().unwrap();
            stream.write_all(b"GET /met").unwrap();
            stream
        })
        .collect();
    stock_knock(lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    assert!(connect(lab, Machine::Client, Machine::Server.v4(), SSH).is_accepted());
    assert!(site.knock_ctl(&["reload"]).status.success());
    drop(slow);
    eventually("their places are free again", || fetch(&site, LISTEN).is_some());
}

#[test]
fn packets_are_told_by_interface() {
    if !privileged() {
        return;
    }
    let site = site(&with_metrics(LISTEN));
    let _controller = site.attach(&["lo"]);
    for _ in 0..3 {
        assert!(connect(&site.lab, Machine::Stranger, Machine::Server.v4(), SSH).is_silence());
    }
    let dropped = |interface: &str| {
        let told = samples(&fetch(&site, LISTEN).unwrap());
        told[&format!(
            "knock_packets_total{{interface=\"{interface}\",reason=\"no_grant\",verdict=\"drop\"}}"
        )]
    };
    eventually("they are counted", || dropped(INTERFACE) >= 3);
    assert_eq!(dropped("lo"), 0);
    let unlisted = "knock_packets_total{interface=\"lo\",reason=\"unlisted\",verdict=\"pass\"}";
    eventually("the requests came in by the other", || samples(&fetch(&site, LISTEN).unwrap())[unlisted] > 0);
}
