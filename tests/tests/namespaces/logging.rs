//! The log: in a file, in syslog and in the journal, as knockd writes it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;

use knock_tests::lab::{INTERFACE, Machine, privileged};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::*;

/// The site's configuration, with a log of its own.
fn with_log(log: &str) -> String {
    format!("[log]\n{log}\n{SSH_DOOR}start_command = \"echo %IP% in\"\n")
}

/// What is in a log file, without the times, which must be there.
fn messages(text: &str) -> Vec<String> {
    let message = |line: &str| {
        let (time, message) = line.split_once("] ").unwrap();
        // Such as "[2026-11-21 06:37".
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "[0000-00-00 00:00", "{line}");
        message.to_owned()
    };
    text.lines().map(message).collect()
}

/// What an opening says under knockd, which also logs each step.
fn opening(address: IpAddr) -> Vec<String> {
    vec![
        format!("{address}: ssh: Stage 1"),
        format!("{address}: ssh: Stage 2"),
        format!("{address}: ssh: Stage 3"),
        format!("{address}: ssh: OPEN SESAME"),
        format!("ssh: running command: echo {address} in"),
    ]
}

/// Those lines of a log that [`opening`] has too. Steps and openings come by ways of their own: in no order.
fn of_opening(mut lines: Vec<String>, address: IpAddr) -> Vec<String> {
    let expected = opening(address);
    lines.retain(|line| expected.contains(line));
    lines.sort_by_key(|line| expected.iter().position(|one| one == line));
    lines
}

#[test]
fn the_file_has_knockds_lines_and_may_be_rotated_while_the_configuration_is_bad() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let (path, rotated) = (site.file("knock.log"), site.file("knock.log.1"));
    let config = with_log(&format!("stages = true\nfile = {path:?}"));
    site.configure(&config);
    let mut controller = site.attach(&[]);
    let server = Machine::Server.v4();
    let read = |path| messages(&fs::read_to_string(path).unwrap_or_default());
    let client = Machine::Client.v4();
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    eventually("the file has it all", || of_opening(read(&path), client) == opening(client));

    fs::rename(&path, &rotated).unwrap();
    site.configure("nonsense");
    kill(Pid::from_raw(i32::try_from(controller.id()).unwrap()), Signal::SIGHUP).unwrap();
    controller.expect("the configuration is not taken");
    let stranger = Machine::Stranger.v4();
    stock_knock(&site.lab, Machine::Stranger, &["-d", "5"], server, SSH_SEQUENCE);
    eventually("the new file has it all", || of_opening(read(&path), stranger) == opening(stranger));
    assert_eq!(of_opening(read(&rotated), stranger), Vec::<String>::new());
    assert!(read(&path).iter().any(|line| line.contains("the configuration is not taken")));

    // Elsewhere, and then nowhere.
    let elsewhere = site.file("elsewhere.log");
    site.configure(&config.replace("/knock.log", "/elsewhere.log"));
    assert!(site.knock_ctl(&["reload", "--dry-run"]).status.success());
    assert!(!elsewhere.exists());
    assert!(site.knock_ctl(&["reload"]).status.success());
    assert!(read(&elsewhere).iter().any(|line| line.starts_with("took the configuration anew")));
    let before = read(&elsewhere).len();
    site.configure(&with_log("stages = true"));
    assert!(site.knock_ctl(&["reload"]).status.success());
    assert_eq!(read(&elsewhere).len(), before);
}

#[test]
fn a_file_that_cannot_be_opened_is_refused() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let path = site.file("missing/knock.log");
    let refusal = format!(
        "log.file: {}: its directory does not exist; make that, or write another path",
        path.display()
    );
    let bad = with_log(&format!("file = {path:?}"));
    site.configure(&bad);
    let mut controller = site.start(&[]);
    controller.expect(&refusal);
    assert_eq!(controller.wait().code(), Some(1));
    assert!(site.is_without_filter());

    site.configure(SSH_DOOR);
    let mut controller = site.attach(&[]);
    site.configure(&bad);
    for arguments in [&["reload"][..], &["reload", "--dry-run"]] {
        let output = site.knock_ctl(arguments);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&refusal), "{said}");
    }
    controller.expect("the configuration is not taken");
    assert_eq!(site.status()["config"]["differs_from_disk"], true);
    fs::create_dir(path.parent().unwrap()).unwrap();
    assert!(site.knock_ctl(&["reload"]).status.success());
    assert!(path.exists());
}

#[test]
fn syslog_has_notices_of_what_doors_do() {
    if !privileged() {
        return;
    }
    let site = Site::new(&with_log("syslog = true"));
    let socket = site.file("syslog");
    let daemon = UnixDatagram::bind(&socket).unwrap();
    daemon.set_read_timeout(Some(limit())).unwrap();
    let (program, config) = (program(), site.config());
    // A /dev of its own, in which the test takes what is logged.
    let script = "mount -t tmpfs dev /dev; mknod /dev/null c 1 3; mknod /dev/urandom c 1 9; touch /dev/log; \
                  mount --bind \"$0\" /dev/log; exec \"$@\"";
    let words =
        ["unshare", "--mount", "sh", "-ec", script, text(&socket), text(&program), "attach", INTERFACE];
    let words = [&words[..], &["--config", text(&config)]].concat();
    let mut controller = site.lab.spawn_in(Machine::Server, &words).unwrap();
    controller.expect_line("watching;", limit()).unwrap();
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    let expect = |priority: &str, message: &str| {
        let end = format!(" knock-ctl[{}]: {message}", controller.id());
        loop {
            let mut buffer = [0; 2048];
            let length = daemon.recv(&mut buffer).unwrap_or_else(|error| panic!("{message}: {error}"));
            let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if line.contains(&end) {
                assert!(line.starts_with(priority), "{line}");
                return;
            }
        }
    };
    let client = Machine::Client.v4();
    expect("<14>", "watching;");
    expect("<13>", &format!("{client}: ssh: OPEN SESAME"));
    expect("<13>", &format!("ssh: running command: echo {client} in"));
}

#[test]
fn the_journal_is_told_how_grave_each_line_is() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let (program, config) = (program(), site.config());
    let script = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";
    let words = ["sh", "-ec", script, "sh", text(&program), "attach", INTERFACE, "--config", text(&config)];
    let mut controller = site.lab.spawn_in(Machine::Server, &words).unwrap();
    let watching = controller.expect_line("watching;", limit()).unwrap();
    assert!(watching.starts_with("<6>watching;"), "{watching}");
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    let opening = controller.expect_line("OPEN SESAME", limit()).unwrap();
    assert_eq!(opening, format!("<5>{}: ssh: OPEN SESAME", Machine::Client.v4()));
    assert!(controller.said().iter().all(|line| line.starts_with('<')), "{:?}", controller.said());
}

#[test]
fn what_is_dropped_is_told_of_where_that_is_wanted() {
    if !privileged() {
        return;
    }
    let site = Site::new(&with_log("drops = true"));
    let mut controller = site.attach(&[]);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let client = Machine::Client.of_family(server);
        assert!(connect(&site.lab, Machine::Client, server, SSH).is_silence());
        controller.expect(&format!(" {client}: dropped: 22/tcp (no_grant)"));
    }
    site.configure(SSH_DOOR);
    assert!(site.knock_ctl(&["reload"]).status.success());
    let before = controller.count("dropped");
    assert!(connect(&site.lab, Machine::Client, Machine::Server.v4(), SSH).is_silence());
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    controller.expect("OPEN SESAME");
    assert_eq!(controller.count("dropped"), before);
}

#[test]
fn a_change_that_is_not_confirmed_takes_the_log_back_with_it() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let (before, changed) = (site.file("before.log"), site.file("changed.log"));
    site.configure(&with_log(&format!("file = {before:?}")));
    let mut controller = site.attach(&[]);
    site.configure(&with_log(&format!("file = {changed:?}")));
    assert!(site.knock_ctl(&["reload", "--confirm", "1s"]).status.success());
    controller.expect("the rules before hold again");
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    controller.expect("OPEN SESAME");
    let opened = |path| fs::read_to_string(path).unwrap().contains("OPEN SESAME");
    eventually("it is in the file of before", || opened(&before));
    assert!(!opened(&changed));
}
