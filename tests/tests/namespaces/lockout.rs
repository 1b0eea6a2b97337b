//! Rules that would lock out who is here now are not put into force unasked.

use std::fs;

use knock_tests::lab::{INTERFACE, Machine, privileged};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::*;

const CLOSED: &str = "[filter]\nprotected = [\"22/tcp\", \"2222/tcp\"]\n";
/// Everything is closed.
const DROP: &str = "[filter]\npolicy = \"drop\"\n";

#[track_caller]
fn is_refused(said: &str, port: u16, process: &str) {
    let expected = format!("{} on {port}/tcp ({process}", Machine::Client.v4());
    assert!(said.contains("lock out") && said.contains(&expected) && said.contains("--yes"), "{said}");
}

#[test]
fn attach_asks_below_sudo_and_in_tmux_too() {
    if !privileged() {
        return;
    }
    let site = Site::new(CLOSED);
    let (lab, server) = (&site.lab, Machine::Server.v4());
    let sshd = Sshd::start(&site, SSH);
    let mut session = sshd.session(&site, Machine::Client, server);
    let (program, config) = (program(), site.config());
    let attach = format!("{} attach {INTERFACE} --config {}", text(&program), text(&config));

    for command in [attach.clone(), format!("sudo {attach}"), format!("env -i {attach}")] {
        let (status, said) = session.run(&command);
        assert_eq!(status, 1, "{said}");
        is_refused(&said, SSH, "sshd");
        assert!(site.is_without_filter());
    }
    let (said, socket) = (site.file("said"), site.file("tmux"));
    let status = said.with_extension("done");
    let in_tmux = format!(
        "tmux -S {} new-session -d '{attach} > {} 2>&1; echo $? > {}'",
        text(&socket),
        text(&said),
        text(&status)
    );
    assert_eq!(session.run(&in_tmux), (0, String::new()));
    eventually("it has ended", || fs::read_to_string(&status).is_ok_and(|text| text == "1\n"));
    is_refused(&fs::read_to_string(&said).unwrap(), SSH, "sshd");
    assert!(site.is_without_filter());

    // It drops nothing, so it locks nobody out.
    let mut controller = site.attach(&["--audit"]);
    assert!(controller.terminate().success());
    site.knock_ctl(&["detach"]);
    let _controller = site.attach(&["--yes"]);
    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    assert_eq!(session.run("echo here"), (0, "here\n".to_owned()), "the session goes on");
}

#[test]
fn whoever_has_a_way_is_not_locked_out() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let server = Machine::Server.v4();
    let sshd = Sshd::start(&site, SSH);
    let _session = sshd.session(&site, Machine::Client, server);
    let any_door = "[doors.any]\nsequence = [7000, 8000, 9000]\nopens = [\"any\"]\n";
    for config in [
        SSH_DOOR.to_owned(),
        format!("{DROP}{SSH_DOOR}"),
        format!("{DROP}{any_door}"),
        format!("{DROP}public = [\"22/tcp\"]\n"),
        format!("{CLOSED}trusted = [\"{}\"]\n", Machine::Client.v4()),
        format!("{CLOSED}destinations = [\"192.0.2.99\"]\n"),
    ] {
        site.configure(&config);
        assert!(site.attach(&[]).terminate().success(), "{config}");
        assert!(site.knock_ctl(&["detach"]).status.success());
    }
    for config in [
        DROP.to_owned(),
        format!("{DROP}trusted = [\"{}\"]\n", Machine::Stranger.v4()),
        format!("{CLOSED}[doors.web]\nsequence = [7100, 8200, 9300]\nopens = [\"443/tcp\"]\n"),
    ] {
        site.configure(&config);
        let output = site.knock_ctl(&["attach", INTERFACE, "--config", text(&site.config())]);
        assert_eq!(output.status.code(), Some(1), "{config}: {output:?}");
        is_refused(&String::from_utf8(output.stderr).unwrap(), SSH, "sshd");
    }
    assert!(site.is_without_filter());
}

#[test]
fn reload_asks_for_what_the_change_closes() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let server = Machine::Server.v4();
    // On another port it is known by its server.
    let sshd = Sshd::start(&site, 2222);
    let _session = sshd.session(&site, Machine::Client, server);
    let _service = Service::start(&site.lab, 8080);
    let _web = connect(&site.lab, Machine::Stranger, server, 8080).stream();
    let mut controller = site.attach(&[]);
    let sha256 = site.status()["config"]["sha256"].clone();

    site.configure(&format!("{DROP}{SSH_DOOR}"));
    let output = site.knock_ctl(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    is_refused(&said, 2222, "sshd");
    assert!(!said.contains("8080"), "nobody works by that: {said}");
    let asked = site.knock_ctl(&["reload", "--dry-run"]);
    assert!(asked.status.success(), "{asked:?}");
    assert!(String::from_utf8(asked.stderr).unwrap().contains("warning: these rules lock out"));
    kill(Pid::from_raw(i32::try_from(controller.id()).unwrap()), Signal::SIGHUP).unwrap();
    controller.expect("lock out");
    controller.expect("the configuration is not taken");
    assert_eq!((&site.status()["config"]["sha256"], &site.status()["policy"]), (&sha256, &"pass".into()));

    assert!(site.knock_ctl(&["reload", "--yes"]).status.success());
    assert_eq!(site.status()["policy"], "drop");
    // What was closed before is not closed by the next change, nor by the next controller.
    site.configure(&format!("{DROP}strict = false\n{SSH_DOOR}"));
    assert!(site.knock_ctl(&["reload"]).status.success());
    controller.kill();
    assert!(site.attach(&[]).terminate().success());
    site.configure(&format!("{DROP}public = [\"2222/tcp\"]\n{SSH_DOOR}"));
    let mut controller = site.attach(&[]);
    site.configure(&format!("{DROP}{SSH_DOOR}"));
    assert_eq!(site.knock_ctl(&["reload"]).status.code(), Some(1));
    assert!(controller.terminate().success());
}
