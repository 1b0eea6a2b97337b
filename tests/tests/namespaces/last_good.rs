//! A configuration that is refused as the machine comes up: the rules that were last in force are taken instead.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use knock_tests::lab::{Machine, privileged};

use crate::site::*;

const WEB_DOOR: &str = "[doors.web]\nsequence = [7100, 8200, 9300]\nopens = [\"443/tcp\"]\n";
const BROKEN: &str = "[doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [22]\nopen_four = \"1s\"\n";

/// As a reboot does: neither filter nor controller.
fn go_down(site: &Site, mut controller: Controller) {
    assert_eq!(site.knock_ctl(&["detach"]).status.code(), Some(0));
    assert_eq!(controller.wait().code(), Some(0));
    assert!(site.is_without_filter());
}

/// Reads the door's steps out of what is kept; the file is text, and holds the sequence.
fn keeps(site: &Site, step: &str) -> bool {
    fs::read_to_string(site.last_good()).is_ok_and(|kept| kept.contains(step))
}

#[test]
fn what_was_last_in_force_comes_back() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("include = [\"*.door\"]\n{SSH_DOOR}"));
    let lab = &site.lab;
    let _services = [Service::start(lab, SSH), Service::start(lab, 443)];
    fs::write(site.file("web.door"), WEB_DOOR).unwrap();
    let controller = site.attach(&["--or-last-good"]);
    assert_eq!(fs::metadata(site.last_good()).unwrap().permissions().mode() & 0o7777, 0o600);
    go_down(&site, controller);

    site.configure(BROKEN);
    fs::remove_file(site.file("web.door")).unwrap();
    let mut refused = site.start(&[]);
    refused.expect("open_four");
    assert_eq!(refused.wait().code(), Some(1), "only who asks for them gets the rules before");
    assert!(site.is_without_filter());

    let mut controller = site.start(&["--or-last-good"]);
    for error in ["knock.toml:3:", "knock.toml:4:", "knock.toml IS REFUSED"] {
        assert!(controller.expect(error).contains("ERROR"), "{error}");
    }
    controller.expect("watching;");
    assert_eq!(site.status()["config"]["differs_from_disk"], true);
    let server = Machine::Server.v4();
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    assert!(
        connect(lab, Machine::Stranger, server, 443).is_silence(),
        "the included file is gone, its door is not"
    );
    stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7100", "8200", "9300"]);
    assert!(connect(lab, Machine::Client, server, 443).is_accepted());

    assert_eq!(site.knock_ctl(&["reload"]).status.code(), Some(1));
    assert!(keeps(&site, "8200"), "a refused file is never kept");
    site.configure(SSH_DOOR);
    let output = site.knock_ctl(&["reload"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "door web: removed; its grants end\n", "{output:?}");
    assert!(!keeps(&site, "8200"));
    assert_eq!(site.status()["config"]["differs_from_disk"], false);
}

#[test]
fn rules_that_wait_to_be_confirmed_are_not_kept() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let controller = site.attach(&[]);
    assert!(!site.last_good().exists(), "nobody will ask for it");
    go_down(&site, controller);
    let mut controller = site.attach(&["--or-last-good"]);
    site.configure(&format!("{SSH_DOOR}{WEB_DOOR}"));
    assert_eq!(site.knock_ctl(&["reload", "--confirm", "60s"]).status.code(), Some(0));
    controller.expect("took the configuration anew");
    assert!(keeps(&site, "8000") && !keeps(&site, "8200"));
    assert_eq!(site.knock_ctl(&["confirm", "--yes"]).status.code(), Some(0));
    controller.expect("confirmed");
    assert!(keeps(&site, "8200"));
}

#[test]
fn without_any_that_were_in_force_it_says_so() {
    if !privileged() {
        return;
    }
    let site = Site::new(BROKEN);
    let mut controller = site.start(&["--or-last-good"]);
    controller.expect("open_four");
    controller.expect("was ever in force");
    assert_eq!(controller.wait().code(), Some(1));
    assert!(site.is_without_filter() && !site.last_good().exists());
}
