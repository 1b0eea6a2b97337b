//! The commands of doors.

use std::fs;
use std::path::Path;
use std::time::Duration;

use knock_tests::lab::{Machine, privileged};

use crate::site::*;

/// Waits until a file has this content.
#[track_caller]
fn expect_content(path: &Path, expected: &str) {
    eventually(expected, || fs::read_to_string(path).is_ok_and(|content| content == expected));
}

#[test]
fn a_door_runs_its_commands_and_tells_them_about_itself() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let (log, environment) = (site.file("log"), site.file("environment"));
    site.configure(&format!(
        "{SSH_DOOR}open_for = \"1s\"\n\
         start_command = \"echo start %IP% $KNOCK_IP $KNOCK_DOOR $KNOCK_FAMILY $KNOCK_OPENS $KNOCK_OPEN_FOR >> {log}\"\n\
         stop_command = \"echo stop %IP% $KNOCK_IP $KNOCK_DOOR $KNOCK_FAMILY >> {log}\"\n\
         stop_command_6 = [\"/bin/sh\", \"-c\", \"env | grep -E '^KNOCK_(IP|DOOR|FAMILY|OPENS|OPEN_FOR)=' > {environment}\"]\n",
        log = text(&log),
        environment = text(&environment),
    ));
    let _controller = site.attach(&[]);
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    let client = Machine::Client.v4();
    let start = format!("start {client} {client} ssh 4 22/tcp 1s\n");
    expect_content(&log, &start);
    expect_content(&log, &format!("{start}stop {client} {client} ssh 4\n"));
    fs::remove_file(&log).unwrap();

    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v6(), SSH_SEQUENCE);
    let client = Machine::Client.v6();
    expect_content(&log, &format!("start {client} {client} ssh 6 22/tcp 1s\n"));
    let expected =
        format!("KNOCK_DOOR=ssh\nKNOCK_FAMILY=6\nKNOCK_IP={client}\nKNOCK_OPENS=22/tcp\nKNOCK_OPEN_FOR=1s\n");
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    eventually("the environment is written", || {
        fs::read_to_string(&environment).is_ok_and(|text| sorted(&text) == sorted(&expected))
    });
}

#[test]
fn an_array_meets_no_shell() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let (arguments, harm) = (site.file("arguments"), site.file("harm"));
    let script = site.file("script");
    fs::write(&script, format!("printf '%s\\n' \"$@\" > {}\n", text(&arguments))).unwrap();
    site.configure(&format!(
        "{SSH_DOOR}start_command = [\"/bin/sh\", \"{}\", \"%IP%; touch {harm}\", \"$(touch {harm})\", \"`touch {harm}` $HOME *\"]\n",
        text(&script),
        harm = text(&harm),
    ));
    let _controller = site.attach(&[]);
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    let (client, harm_path) = (Machine::Client.v4(), text(&harm));
    let expected =
        format!("{client}; touch {harm_path}\n$(touch {harm_path})\n`touch {harm_path}` $HOME *\n");
    expect_content(&arguments, &expected);
    assert!(!harm.exists());
}

#[test]
fn a_command_that_takes_too_long_is_ended_and_others_do_not_wait_for_it() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let (begun, other) = (site.file("begun"), site.file("other"));
    site.configure(&format!(
        "[doors.slow]\nsequence = [1001, 2002, 1003]\ncommand_time_limit = \"1s\"\n\
         start_command = \"echo $$ > {}; sleep 1000; :\"\n\
         [doors.quick]\nsequence = [3001, 2002, 3003]\nstart_command = \"echo %IP% > {}\"\n",
        text(&begun),
        text(&other),
    ));
    let mut controller = site.attach(&[]);
    let server = Machine::Server.v4();
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], server, &["1001", "2002", "1003"]);
    stock_knock(&site.lab, Machine::Stranger, &["-d", "5"], server, &["3001", "2002", "3003"]);
    expect_content(&other, &format!("{}\n", Machine::Stranger.v4()));
    controller.expect("start command: it took too long and was ended");
    let shell = fs::read_to_string(&begun).unwrap();
    assert!(!Path::new(&format!("/proc/{}", shell.trim())).exists());
}

#[test]
fn a_door_without_opens_runs_its_commands_again_and_again() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let (opened, both) = (site.file("opened"), site.file("both"));
    site.configure(&format!(
        "[doors.once]\nsequence = [1001, 2002, 1003]\nstart_command = \"echo start >> {}\"\n\
         [doors.both]\nsequence = [3001, 2002, 3003]\ncmd_timeout = \"300ms\"\n\
         start_command = \"echo start >> {both}\"\nstop_command = \"echo stop >> {both}\"\n",
        text(&opened),
        both = text(&both),
    ));
    let mut controller = site.attach(&[]);
    let server = Machine::Server.v4();
    for round in 1..=3 {
        stock_knock(&site.lab, Machine::Client, &["-d", "5"], server, &["1001", "2002", "1003"]);
        expect_content(&opened, &"start\n".repeat(round));
    }
    for round in 1..=2 {
        stock_knock(&site.lab, Machine::Client, &["-d", "5"], server, &["3001", "2002", "3003"]);
        expect_content(&both, &"start\nstop\n".repeat(round));
    }
    assert!(controller.says("both: closed", Duration::from_secs(5)));
    assert_eq!(site.grants(), []);
}

#[test]
fn a_closing_door_revokes_and_runs_the_stop_command_once() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let stopped = site.file("stopped");
    site.configure(&format!(
        "{SSH_DOOR}open_for = \"forever\"\nstop_command = \"echo %IP% >> {}\"\n\
         [doors.close]\nsequence = [9001, 8001, 7001]\nrevokes = [\"ssh\"]\n",
        text(&stopped)
    ));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    for (server, client) in
        [(Machine::Server.v4(), Machine::Client.v4()), (Machine::Server.v6(), Machine::Client.v6())]
    {
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        stock_knock(lab, Machine::Stranger, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        stock_knock(lab, Machine::Client, &["-d", "5"], server, &["9001", "8001", "7001"]);
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        assert!(connect(lab, Machine::Stranger, server, SSH).is_accepted(), "only the client's is revoked");
        controller.expect(&format!("{client}: ssh: closed"));
        expect_content(&stopped, &format!("{client}\n"));
        fs::remove_file(&stopped).unwrap();
    }
    assert_eq!(controller.count("ssh: closed"), 2);
}

#[test]
fn events_tell_what_happens() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("{SSH_DOOR}open_for = \"500ms\"\nstart_command = \"exit 3\"\n"));
    let lab = &site.lab;
    let _controller = site.attach(&[]);
    let program = program();
    let mut events = lab.spawn_in(Machine::Server, &[text(&program), "events", "--json"]).unwrap();
    let server = Machine::Server.v4();
    // Nothing tells when it has begun to follow: it is knocked until it has.
    eventually("an opening is told", || {
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        events.expect_line("\"open\"", Duration::from_millis(600)).is_ok()
    });
    events.expect_line("\"expire\"", limit()).unwrap();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    for name in ["open", "command", "command_failed", "expire"] {
        let line = events.expect_line(&format!("\"{name}\""), limit()).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["version"], 1);
        assert_eq!(event["event"], name);
        assert_eq!(event["address"], Machine::Client.v4().to_string());
        assert_eq!(event["door"], "ssh");
    }
}
