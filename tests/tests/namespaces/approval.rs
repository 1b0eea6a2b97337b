//! Doors that open only if a command says so.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use knock_tests::lab::{Machine, privileged};
use serde_json::Value;
use tempfile::TempDir;

use crate::site::*;

const FAMILIES: [fn(Machine) -> IpAddr; 2] = [Machine::v4, Machine::v6];

/// A site whose door asks `approve`, and what its log of commands will be.
fn site(approve: &str, door: &str) -> Site {
    let site = Site::new("");
    let log = site.file("log");
    site.configure(&format!(
        "{SSH_DOOR}approve_command = \"\"\"{approve}\"\"\"\n\
         start_command = \"echo start %IP% >> {log}\"\nstop_command = \"echo stop %IP% >> {log}\"\n{door}",
        log = text(&log),
    ));
    site
}

fn knock(site: &Site, address: fn(Machine) -> IpAddr) {
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], address(Machine::Server), SSH_SEQUENCE);
}

fn lines(log: &Path) -> Vec<String> {
    fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn who_is_approved_is_let_in() {
    if !privileged() {
        return;
    }
    let site = site("test $KNOCK_DOOR = ssh && sleep 0.3", "open_for = \"2s\"\n");
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    for address in FAMILIES {
        let client = address(Machine::Client).to_string();
        knock(&site, address);
        assert!(site.grants().is_empty(), "not before it is approved");
        controller.expect(&format!("{client}: ssh: OPEN SESAME"));
        let listing: Value = serde_json::from_slice(&site.knock_ctl(&["grants", "--json"]).stdout).unwrap();
        assert_eq!(
            (&listing["grants"][0]["by"], &listing["grants"][0]["door"]),
            (&"approve".into(), &"ssh".into())
        );
        let mut stream = connect(lab, Machine::Client, address(Machine::Server), SSH).stream();
        controller.expect(&format!("{client}: ssh: closed"));
        assert!(carries_data(&mut stream, limit()), "an accepted connection lives on");
        assert!(connect(lab, Machine::Client, address(Machine::Server), SSH).is_silence());
        let expected = [format!("start {client}"), format!("stop {client}")];
        eventually("both commands ran once", || lines(&site.file("log")).ends_with(&expected));
    }
    assert_eq!(lines(&site.file("log")).len(), 4);
}

#[test]
fn who_is_not_approved_stays_out() {
    if !privileged() {
        return;
    }
    let marked = |site: &Site| site.file("asked").exists();
    for (approve, limit) in [
        ("echo > $MARK; exit 1", "30s"),
        ("echo > $MARK; kill -9 $$", "30s"),
        ("echo > $MARK; trap '' TERM; sleep 100", "300ms"),
        ("echo > $MARK; exec /no/such/program", "30s"),
    ] {
        let site = Site::new("");
        let mark = site.file("asked");
        let approve = approve.replace("$MARK", text(&mark));
        site.configure(&format!(
            "{SSH_DOOR}command_time_limit = \"{limit}\"\napprove_command = \"\"\"{approve}\"\"\"\n"
        ));
        let _service = Service::start(&site.lab, SSH);
        let mut controller = site.attach(&[]);
        knock(&site, Machine::v4);
        controller.expect("not approved");
        assert!(marked(&site), "{approve}: it was asked");
        assert!(site.grants().is_empty(), "{approve}");
        assert!(connect(&site.lab, Machine::Client, Machine::Server.v4(), SSH).is_silence(), "{approve}");
        assert_eq!(controller.count("OPEN SESAME"), 0);
    }
}

#[test]
fn a_program_that_is_not_there_approves_nobody() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("{SSH_DOOR}approve_command = [\"/no/such/program\"]\n"));
    let mut controller = site.attach(&[]);
    knock(&site, Machine::v4);
    controller.expect("not approved");
    assert!(site.grants().is_empty());
}

#[test]
fn a_controller_that_is_killed_meanwhile_approves_nobody() {
    if !privileged() {
        return;
    }
    let mark = TempDir::new().unwrap();
    let asked = mark.path().join("asked");
    let site = site(&format!("echo > {}; sleep 0.5", text(&asked)), "");
    let controller = site.attach(&[]);
    knock(&site, Machine::v4);
    eventually("it is being asked", || asked.exists());
    controller.kill();
    let mut controller = site.attach(&[]);
    assert!(!controller.says("OPEN SESAME", Duration::from_secs(1)));
    assert!(site.grants().is_empty() && lines(&site.file("log")).is_empty());
    // Knocking again asks again.
    knock(&site, Machine::v4);
    controller.expect("OPEN SESAME");
    // Nobody is asked while no controller runs.
    site.knock_ctl(&["revoke", &Machine::Client.v4().to_string()]);
    controller.kill();
    knock(&site, Machine::v4);
    assert!(site.grants().is_empty());
}

#[test]
fn approval_gives_as_many_connections_as_the_door_says_and_is_asked_for_once_at_a_time() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let asked = site.file("asked");
    site.configure(&format!(
        "{SSH_DOOR}connections = 1\napprove_command = \"echo >> {}; sleep 0.5\"\n",
        text(&asked)
    ));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    for _ in 0..3 {
        knock(&site, Machine::v4);
    }
    controller.expect("OPEN SESAME");
    assert_eq!(lines(&asked).len(), 1);
    let mut stream = connect(lab, Machine::Client, Machine::Server.v4(), SSH).stream();
    assert!(carries_data(&mut stream, limit()));
    assert!(connect(lab, Machine::Client, Machine::Server.v4(), SSH).is_silence(), "the second");
}
