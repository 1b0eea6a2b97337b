//! Rules that hold for a time only, unless somebody says that they may stay.

use std::fs;
use std::process::Output;
use std::time::Duration;

use knock_tests::lab::{INTERFACE, Machine, privileged};

use crate::site::*;

/// As [`SSH_DOOR`], with another sequence.
const OTHER_SSH_DOOR: &str = "[doors.ssh]\nsequence = [7001, 8001, 9001]\nopens = [\"22/tcp\"]\n";
const OTHER_SEQUENCE: &[&str] = &["7001", "8001", "9001"];
const WEB_DOOR: &str = "[doors.web]\nsequence = [7100, 8200, 9300]\nopens = [\"443/tcp\"]\n";

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Whether the client comes in by a sequence, and a stranger does not.
fn opens(site: &Site, sequence: &[&str]) -> bool {
    let (lab, server) = (&site.lab, Machine::Server.v4());
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    stock_knock(lab, Machine::Client, &["-d", "5"], server, sequence);
    let accepted = connect(lab, Machine::Client, server, SSH).is_accepted();
    site.knock_ctl(&["revoke", &Machine::Client.v4().to_string(), "ssh"]);
    accepted
}

#[test]
fn what_is_confirmed_stays() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    let mut controller = site.attach(&["--confirm", "60s"]);
    let left = site.status()["confirm_in_ms"].as_u64().unwrap();
    assert!((30_000..=60_000).contains(&left), "{left}");
    assert_eq!(done(&site.knock_ctl(&["confirm", "--yes"])), "Confirmed: the rules in force stay.\n");
    controller.expect("the change of rules is confirmed");
    assert!(site.status()["confirm_in_ms"].is_null());

    site.configure(&format!("{OTHER_SSH_DOOR}{WEB_DOOR}"));
    let lines = done(&site.knock_ctl(&["reload", "--confirm", "60s"]));
    assert!(lines.contains("undone in 1m, unless `knock-ctl confirm` keeps it"), "{lines}");
    let text = String::from_utf8(site.knock_ctl(&["status"]).stdout).unwrap();
    assert!(text.contains("the change is undone in"), "{text}");
    let refused = failed(&site.knock_ctl(&["reload"]));
    assert!(refused.contains("a change of rules waits to be confirmed"), "{refused}");
    done(&site.knock_ctl(&["reload", "--dry-run"]));
    done(&site.knock_ctl(&["confirm", "--yes"]));
    controller.expect("the change of rules is confirmed");
    assert!(opens(&site, OTHER_SEQUENCE));
    let again = failed(&site.knock_ctl(&["confirm", "--yes"]));
    assert!(again.contains("no change of rules waits"), "{again}");
    done(&site.knock_ctl(&["reload"]));
}

#[test]
fn what_is_not_confirmed_is_undone() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let stopped = site.file("stopped");
    let web_door = format!("{WEB_DOOR}stop_command = \"echo %IP% >> {}\"\n", text(&stopped));
    let mail_door = format!(
        "[doors.mail]\nsequence = [7200, 8400, 9600]\nopens = [\"993/tcp\"]\nstop_command = \"echo mail %IP% >> {}\"\n",
        text(&stopped)
    );
    site.configure(&format!("{SSH_DOOR}{web_door}"));
    let (lab, server) = (&site.lab, Machine::Server.v4());
    let _services = [Service::start(lab, SSH), Service::start(lab, 443)];
    let mut controller = site.attach(&[]);
    let before = site.status();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7100", "8200", "9300"]);
    controller.expect("web: OPEN SESAME");

    site.configure(&format!("{OTHER_SSH_DOOR}{mail_door}"));
    done(&site.knock_ctl(&["reload", "--confirm", "3s"]));
    stock_knock(lab, Machine::Stranger, &["-d", "5"], server, &["7200", "8400", "9600"]);
    controller.expect("mail: OPEN SESAME");
    assert!(opens(&site, OTHER_SEQUENCE));
    controller.expect("the change of rules was not confirmed in time; the rules before hold again");
    controller.expect("mail: closed");
    let after = site.status();
    assert_eq!(
        (&after["config"]["sha256"], &after["doors"][0]["name"]),
        (&before["config"]["sha256"], &before["doors"][0]["name"])
    );
    assert_eq!(after["config"]["differs_from_disk"], true);
    assert!(after["confirm_in_ms"].is_null());
    assert_eq!(
        site.grants(),
        [(Machine::Client.v4().to_string(), "web".to_owned())],
        "it was gone for a while only"
    );
    assert!(connect(lab, Machine::Client, server, 443).is_accepted());
    assert!(opens(&site, SSH_SEQUENCE));
    assert!(!opens(&site, OTHER_SEQUENCE));
    eventually("only the new door's stop command has run", || {
        fs::read_to_string(&stopped).is_ok_and(|text| text == format!("mail {}\n", Machine::Stranger.v4()))
    });
    let late = failed(&site.knock_ctl(&["confirm", "--yes"]));
    assert!(late.contains("no change of rules waits"), "{late}");
    // And the next change is none the worse for it.
    done(&site.knock_ctl(&["reload"]));
    assert!(opens(&site, OTHER_SEQUENCE));
}

#[test]
fn it_is_undone_without_the_controller() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    let controller = site.attach(&[]);
    let sha256 = site.status()["config"]["sha256"].clone();
    site.configure(OTHER_SSH_DOOR);
    done(&site.knock_ctl(&["reload", "--confirm", "2s"]));
    controller.kill();
    assert!(opens(&site, OTHER_SEQUENCE), "until the time is up");
    let early = failed(&site.knock_ctl(&["attach", INTERFACE, "--config", text(&site.config())]));
    assert!(early.contains("a change of rules waits to be confirmed"), "{early}");
    eventually("the time is up", || site.status()["confirm_in_ms"].is_null());
    assert!(!opens(&site, OTHER_SEQUENCE));
    assert!(opens(&site, SSH_SEQUENCE));
    let status = site.status();
    assert_eq!(status["config"]["sha256"], sha256);
    assert_eq!(status["enforce"], true);
    let text = String::from_utf8(site.knock_ctl(&["status"]).stdout).unwrap();
    assert!(text.contains("those before the last change, which was not confirmed in time"), "{text}");
    let late = failed(&site.knock_ctl(&["confirm", "--yes"]));
    assert!(late.contains("it is too late") && late.contains("the rules before hold again"), "{late}");

    site.configure(SSH_DOOR);
    let mut controller = site.attach(&[]);
    assert_eq!(controller.count("not confirmed in time, and is undone"), 1);
    assert!(opens(&site, SSH_SEQUENCE));
    site.configure(OTHER_SSH_DOOR);
    done(&site.knock_ctl(&["reload"]));
    assert!(opens(&site, OTHER_SEQUENCE));
    assert!(controller.terminate().success());
}

#[test]
fn it_can_be_confirmed_without_the_controller() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    site.attach(&["--confirm", "3s"]).kill();
    done(&site.knock_ctl(&["confirm", "--yes"]));
    assert!(site.status()["confirm_in_ms"].is_null());
    std::thread::sleep(Duration::from_secs(3));
    assert!(opens(&site, SSH_SEQUENCE), "past the time that it had");
}

#[test]
fn a_first_attach_that_nobody_confirms_goes_off_again() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let stopped = site.file("stopped");
    site.configure(&format!("{SSH_DOOR}stop_command = \"echo %IP% >> {}\"\n", text(&stopped)));
    let (lab, server) = (&site.lab, Machine::Server.v4());
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&["--confirm", "2s"]);
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    controller.expect("OPEN SESAME");
    controller
        .expect("the change of rules was not confirmed in time; there was no filter before: it goes off");
    assert_eq!(controller.wait().code(), Some(1));
    assert!(site.is_without_filter());
    assert!(connect(lab, Machine::Stranger, server, SSH).is_accepted());
    assert_eq!(fs::read_to_string(&stopped).unwrap(), format!("{}\n", Machine::Client.v4()));
}

#[test]
fn a_first_attach_without_its_controller_lets_everything_pass() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let (lab, server) = (&site.lab, Machine::Server.v4());
    let _service = Service::start(lab, SSH);
    site.attach(&["--confirm", "2s"]).kill();
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    eventually("the time is up", || site.status()["confirm_in_ms"].is_null());
    assert!(connect(lab, Machine::Stranger, server, SSH).is_accepted());
    assert!(site.counted("unconfirmed") > 0);
    let status = site.status();
    assert!(status["policy"].is_null() && status["enforce"].is_null() && status["config"].is_null());
    assert_eq!(status["doors"].as_array().unwrap().len(), 0);
    let output = site.knock_ctl(&["status"]);
    assert_eq!(output.status.code(), Some(4));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("none in force: everything passes"), "{told}");
    let late = failed(&site.knock_ctl(&["confirm", "--yes"]));
    assert!(late.contains("nothing is filtered, as before"), "{late}");

    let _controller = site.attach(&[]);
    assert!(opens(&site, SSH_SEQUENCE));
    assert_eq!(site.status()["policy"], "pass");
}

#[test]
fn an_attach_over_earlier_rules_gives_way_to_them() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let (lab, server) = (&site.lab, Machine::Server.v4());
    let _service = Service::start(lab, SSH);
    site.run(Machine::Server, &["ip", "link", "add", "eth1", "type", "veth", "peer", "name", "far1"]);
    site.attach(&[]).kill();
    let sha256 = site.status()["config"]["sha256"].clone();
    site.configure(&format!("{OTHER_SSH_DOOR}{WEB_DOOR}"));
    let mut controller = site.attach(&["eth1", "--confirm", "3s"]);
    assert!(site.attached_mode("eth1").is_some());
    stock_knock(lab, Machine::Stranger, &["-d", "5"], server, &["7100", "8200", "9300"]);
    controller.expect("web: OPEN SESAME");
    assert!(opens(&site, OTHER_SEQUENCE));
    controller.expect("this configuration is not in force, but that of the controller before");
    assert_eq!(controller.wait().code(), Some(1));
    assert_eq!(controller.count("web: closed"), 1, "a door that the earlier rules do not have");
    assert!(site.attached_mode("eth1").is_none(), "it was not filtered before");
    assert!(opens(&site, SSH_SEQUENCE));
    let status = site.status();
    assert_eq!(status["config"]["sha256"], sha256);
    assert_eq!(
        (&status["controller"], &status["confirm_in_ms"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!(site.grants(), []);
}

#[test]
fn only_a_new_session_or_a_knock_shows_that_one_gets_in() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let (lab, server, port) = (&site.lab, Machine::Server.v4(), SSH);
    let sshd = Sshd::start(&site, port);
    let mut old = sshd.session(&site, Machine::Client, server);
    let program = program();
    let (program, confirm) = (text(&program), format!("{} confirm", text(&program)));
    let _controller = site.attach(&["--confirm", "60s"]);

    for (status, said) in [old.run(&confirm), old.run(&format!("sudo {confirm}"))] {
        assert_eq!(status, 1, "{said}");
        let expected = format!("this session, {} on 22/tcp, is older than the change", Machine::Client.v4());
        assert!(said.contains(&expected) && said.contains("Open a new session"), "{said}");
    }
    // By way of the machine itself one comes in without a door.
    let outside = failed(&site.knock_ctl(&["confirm"]));
    assert!(outside.contains("can't be told by which session you came in"), "{outside}");
    assert!(site.status()["confirm_in_ms"].is_u64());
    done(&site.knock_ctl(&["grant", &Machine::Client.v4().to_string(), "ssh"]));
    assert_eq!(old.run(&confirm).0, 1, "whom an administrator lets in has not knocked");
    let mut new = sshd.session(&site, Machine::Client, server);
    assert_eq!(new.run(&format!("sudo {confirm}")), (0, "Confirmed: the rules in force stay.\n".to_owned()));
    done(&site.knock_ctl(&["revoke", &Machine::Client.v4().to_string()]));

    done(&site.knock_ctl(&["reload", "--confirm", "60s"]));
    assert_eq!(new.run(&confirm).0, 1, "it is older than this change");
    stock_knock(lab, Machine::Stranger, &["-d", "5"], server, SSH_SEQUENCE);
    eventually("the door is open", || site.grants().len() == 1);
    assert_eq!(old.run(&confirm).0, 0, "somebody has knocked since");
    assert!(site.status()["confirm_in_ms"].is_null());
    drop(old);

    // In tmux nobody is the child of a session.
    let said = site.file("said");
    let in_tmux = |session: &mut SshSession| {
        let socket = site.file("tmux");
        let command = format!(
            "rm -f {said} {said}.done; tmux -S {} new-session -d '{program} confirm > {said} 2>&1; echo $? > {said}.done'",
            text(&socket),
            said = text(&said),
        );
        assert_eq!(session.run(&command), (0, String::new()));
        let status = said.with_extension("done");
        eventually("it has ended", || fs::read_to_string(&status).is_ok_and(|text| text.ends_with('\n')));
        (fs::read_to_string(&status).unwrap().trim().to_owned(), fs::read_to_string(&said).unwrap())
    };
    done(&site.knock_ctl(&["revoke", &Machine::Stranger.v4().to_string()]));
    done(&site.knock_ctl(&["reload", "--confirm", "60s"]));
    let (status, told) = in_tmux(&mut new);
    assert_eq!(status, "1", "{told}");
    assert!(told.contains("as in tmux") && told.contains("nobody has knocked since"), "{told}");
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    eventually("the door is open", || site.grants().len() == 1);
    assert_eq!(in_tmux(&mut new).0, "0");
    assert!(site.status()["confirm_in_ms"].is_null());
}
