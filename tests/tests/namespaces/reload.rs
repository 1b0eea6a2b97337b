//! The controller takes its configuration anew, and what is open stays open.

use std::fs;
use std::io::{self, Write};
use std::process::Output;

use knock_tests::lab::{Flood, INTERFACE, Lab, Machine, Volley, privileged};
use knock_tests::packet::Frame;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::site::*;

const WEB_DOOR: &str = "[doors.web]\nsequence = [7100, 8200, 9300]\nopens = [\"443/tcp\"]\n";

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

#[track_caller]
fn reloaded(output: &Output) -> Vec<String> {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    lines(&output.stdout)
}

/// Names of the doors that `status` tells of.
fn doors(site: &Site) -> Vec<String> {
    let status = site.status();
    let doors = status["doors"].as_array().unwrap();
    doors.iter().map(|door| door["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn grants_connections_and_attempts_go_on() {
    if !privileged() {
        return;
    }
    let door = format!("{SSH_DOOR}seq_timeout = \"2m\"\n");
    let site = Site::new(&door);
    let lab = &site.lab;
    let _services = [Service::start(lab, SSH), Service::start(lab, 443)];
    let mut controller = site.attach(&[]);
    let server = Machine::Server.v4();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    let mut stream = connect(lab, Machine::Client, server, SSH).stream();
    let mut web = connect(lab, Machine::Stranger, server, 443).stream();
    stock_knock(lab, Machine::Stranger, &["-d", "5"], server, &["7000", "8000"]);
    let grants = site.grants();

    site.configure(&format!("[log]\nstages = true\n{WEB_DOOR}{door}open_for = \"5m\"\n"));
    let changes = reloaded(&site.knock_ctl(&["reload"]));
    assert_eq!(changes, ["door web: added", "door ssh: changed", "[log]: changed"]);
    controller.expect("took the configuration anew");
    assert_eq!(doors(&site), ["web", "ssh"]);
    assert_eq!(site.status()["config"]["differs_from_disk"], false);
    assert_eq!(site.grants(), grants);
    assert!(carries_data(&mut stream, limit()), "a connection under a grant");
    assert!(carries_data(&mut web, limit()), "a connection to a port that has been closed since");
    assert!(connect(lab, Machine::Client, server, SSH).is_accepted(), "the grant");
    assert!(connect(lab, Machine::Stranger, server, 443).is_silence());

    stock_knock(lab, Machine::Stranger, &["-d", "5"], server, &["9000"]);
    assert!(connect(lab, Machine::Stranger, server, SSH).is_accepted(), "the attempt went on");
    controller.expect("ssh: Stage 3");
    stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7100", "8200", "9300"]);
    assert!(connect(lab, Machine::Client, server, 443).is_accepted(), "the new door");
    assert!(connect(lab, Machine::Stranger, server, 443).is_silence());
    assert_eq!(controller.count("took over"), 0);
}

#[test]
fn a_bad_file_changes_nothing() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    let program = program();
    let mut events = lab.spawn_in(Machine::Server, &[text(&program), "events", "--json"]).unwrap();
    let before = site.status();
    site.configure("[doors.ssh]\nsequence = [7000, 8000]\nopens = [22]\nopen_four = \"1s\"\n");

    let output = site.knock_ctl(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = lines(&output.stderr);
    let checked = lines(&site.knock_ctl(&["check", text(&site.config())]).stderr);
    assert_eq!(told[..2], checked[..2], "each error as `check` tells it");
    assert_eq!(told[2..], ["knock-ctl: 2 errors found; the rules in force are as they were"]);
    assert!(output.stdout.is_empty());
    controller.expect("the configuration is not taken");

    // Nothing tells when it has begun to follow: it is told again until it has.
    eventually("the rejection is told", || {
        let id = i32::try_from(controller.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), Signal::SIGHUP).unwrap();
        events.expect_line("config_rejected", std::time::Duration::from_millis(300)).is_ok()
    });
    assert!(controller.says("open_four", limit()));
    let after = site.status();
    for member in ["doors", "policy", "enforce", "interfaces", "controller"] {
        assert_eq!(after[member], before[member]);
    }
    assert_eq!(after["config"]["sha256"], before["config"]["sha256"]);
    assert_eq!(after["config"]["differs_from_disk"], true);
    let server = Machine::Server.v6();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
}

#[test]
fn a_door_that_is_gone_is_closed_as_it_was() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let stopped = site.file("stopped");
    let gone = format!(
        "[doors.old]\nsequence = [7100, 8200, 9300]\nopens = [\"22/tcp\"]\nopen_for = \"forever\"\nstop_command = \"echo %IP% >> {}\"\n",
        text(&stopped)
    );
    site.configure(&format!("{SSH_DOOR}{gone}"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    let server = Machine::Server.v4();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7100", "8200", "9300"]);
    stock_knock(lab, Machine::Stranger, &["-d", "5"], server, SSH_SEQUENCE);
    let mut stream = connect(lab, Machine::Client, server, SSH).stream();
    site.configure(SSH_DOOR);
    let changes = reloaded(&site.knock_ctl(&["reload"]));
    assert_eq!(changes, ["door old: removed; its grants end"]);
    controller.expect(&format!("{}: old: closed", Machine::Client.v4()));
    let expected = format!("{}\n", Machine::Client.v4());
    eventually("the stop command has run", || {
        fs::read_to_string(&stopped).is_ok_and(|content| content == expected)
    });
    assert_eq!(site.grants(), [(Machine::Stranger.v4().to_string(), "ssh".to_owned())]);
    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    assert!(connect(lab, Machine::Stranger, server, SSH).is_accepted());
    assert!(carries_data(&mut stream, limit()), "it was accepted while the door was open");
    stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7100", "8200", "9300"]);
    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    // By its name it is the same door again, and closed.
    site.configure(&format!("{SSH_DOOR}{gone}"));
    reloaded(&site.knock_ctl(&["reload"]));
    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    assert_eq!(fs::read_to_string(&stopped).unwrap(), expected);
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("{SSH_DOOR}{WEB_DOOR}"));
    let mut controller = site.attach(&[]);
    let before = site.status();
    assert_eq!(
        reloaded(&site.knock_ctl(&["reload", "--dry-run"])),
        ["nothing differs from what is in force"]
    );
    site.configure(
        "[limits]\nflows = 256\n[doors.ssh]\nsequence = [7000, 8000, 9001]\nopens = [\"22/tcp\"]\n\
         [doors.mail]\nsequence = [7200, 8400, 9600]\nopens = [\"993/tcp\"]\n",
    );
    let output = site.knock_ctl(&["reload", "--dry-run"]);
    let expected =
        ["door ssh: changed", "door mail: added", "door web: removed; its grants end", "[limits]: changed"];
    assert_eq!(reloaded(&output), expected);
    let errors = lines(&output.stderr).join("\n");
    assert!(errors.contains("warning: limits.flows: the tables stay as large as they were made"), "{errors}");
    assert!(!errors.contains("limits.attempts"), "{errors}");
    assert_eq!(site.status()["doors"], before["doors"]);
    assert_eq!(site.status()["tables"], before["tables"]);
    assert_eq!(controller.count("anew"), 0);
    site.configure("doors = 1\n");
    let output = site.knock_ctl(&["reload", "--dry-run"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(controller.count("not taken"), 0, "who only asked is told, and nobody else");
}

#[test]
fn interfaces_follow_the_configuration() {
    if !privileged() {
        return;
    }
    let config = |interfaces: &str| format!("[filter]\ninterfaces = [{interfaces}]\n{SSH_DOOR}");
    let site = Site::new(&config("\"eth0\""));
    for words in ["link add eth1 type veth peer name far1", "link set eth1 up", "link set far1 up"] {
        site.run(Machine::Server, &[&["ip"], &words.split(' ').collect::<Vec<_>>()[..]].concat());
    }
    let filtered = |site: &Site| [INTERFACE, "eth1"].map(|name| site.attached_mode(name).is_some());
    // A controller that has taken the filter over holds no interface any faster.
    site.attach_as_configured().kill();
    let _controller = site.attach_as_configured();
    assert_eq!(filtered(&site), [true, false]);
    site.configure(&config("\"eth0\", \"eth1\""));
    assert_eq!(reloaded(&site.knock_ctl(&["reload"])), ["[filter]: changed", "interface eth1: added"]);
    assert_eq!(filtered(&site), [true, true]);
    site.configure(&config("\"eth1\", \"nosuch0\""));
    let output = site.knock_ctl(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(lines(&output.stderr), ["knock-ctl: there is no interface nosuch0 here"]);
    assert_eq!(filtered(&site), [true, true]);
    site.configure(&config("\"eth1\""));
    assert_eq!(reloaded(&site.knock_ctl(&["reload"])), ["[filter]: changed", "interface eth0: removed"]);
    assert_eq!(filtered(&site), [false, true]);
    let interfaces: Vec<Value> = site.status()["interfaces"].as_array().unwrap().clone();
    assert_eq!(interfaces.len(), 1);
    assert_eq!(interfaces[0]["name"], "eth1");
}

#[test]
fn those_of_the_command_line_stay() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let mut controller = site.attach(&[]);
    site.configure(&format!("[filter]\ninterfaces = [\"nosuch0\"]\nstrict = false\n{SSH_DOOR}"));
    let id = i32::try_from(controller.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), Signal::SIGHUP).unwrap();
    controller.expect("took the configuration anew: [filter]: changed");
    assert!(site.attached_mode(INTERFACE).is_some());
}

#[test]
fn without_a_controller_it_says_what_to_do() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    for attached in [false, true] {
        if attached {
            site.attach(&[]).kill();
        }
        let output = site.knock_ctl(&["reload"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("no controller runs") && error.contains("`knock-ctl attach`"), "{error}");
    }
}

in_each_mode!(between_two_sets_of_rules_nobody_gets_in_whom_neither_lets_in);

/// Each set of rules has a port open that the other closes; what is scanned is closed by both.
fn between_two_sets_of_rules_nobody_gets_in_whom_neither_lets_in(mode: Mode) {
    const RELOADS: usize = 12;
    let rules = |public: u16, knock: u16| {
        format!(
            "[filter]\npolicy = \"drop\"\npublic = [\"{public}/tcp\"]\n\
             [doors.ssh]\nsequence = [{knock}, 8000, 9000]\nopens = [\"22/tcp\"]\n"
        )
    };
    let site = Site::over(Lab::alone().unwrap(), &rules(80, 7000));
    let lab = &site.lab;
    let _services = [SSH, 80, 443, 8080].map(|port| Service::start(lab, port));
    let _controller = site.attach_in(mode);
    let volleys = [Machine::Stranger.v4(), Machine::Stranger.v6()].into_iter().flat_map(|from| {
        let server = Machine::Server.of_family(from);
        [SSH, 8080, 7000, 7001].map(|port| Volley {
            from,
            frame: Frame::tcp(from, server).ports(0, port),
            count: 200_000,
        })
    });
    let before = TcpCounters::of(lab, Machine::Server);
    let flood = Flood::start(lab, volleys.collect(), 1_000_000).unwrap();
    for number in 0..RELOADS {
        let (public, knock) = if number % 2 == 0 { (443, 7001) } else { (80, 7000) };
        site.configure(&rules(public, knock));
        reloaded(&site.knock_ctl(&["reload"]));
    }
    let rate = flood.end().unwrap();
    // The test harness hides what the print macros write.
    let _ = writeln!(io::stderr(), "scanned a second: {rate:.0}");
    assert_eq!(TcpCounters::of(lab, Machine::Server), before, "not one SYN reached the server's TCP");
    assert!(connect(lab, Machine::Stranger, Machine::Server.v4(), 80).is_accepted(), "the last rules hold");
    assert!(connect(lab, Machine::Stranger, Machine::Server.v4(), 443).is_silence());
}
