//! One door a user, each in a file of its own that only its owner reads.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use knock_tests::lab::{Machine, privileged};
use serde_json::Value;

use crate::site::*;

const USERS: u16 = 40;

/// No two users' sequences have a port in common.
fn sequence(user: u16) -> [u16; 3] {
    [30_000 + 7 * user, 20_000 + 11 * user, 40_000 + 13 * user]
}

fn write_private(site: &Site, name: &str, text: &str) {
    let file = site.file(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn of_forty_users_each_comes_in_by_a_sequence_of_their_own() {
    if !privileged() {
        return;
    }
    let site = Site::new(
        "include = [\"doors.d/*.toml\"]\n[door_defaults]\nopens = [\"22/tcp\"]\nopen_for = \"1m\"\nseq_timeout = \"5s\"\n",
    );
    for user in 1..=USERS {
        let [first, second, third] = sequence(user);
        write_private(&site, &format!("secrets/user{user}"), &format!("{first},{second}:udp,{third}:tcp\n"));
        let door = format!("[doors.user{user}]\nsequence_file = \"../secrets/user{user}\"\n");
        write_private(&site, &format!("doors.d/user{user}.toml"), &door);
    }
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let check = site.knock_ctl(&["check", text(&site.config()), "--strict", "--offline"]);
    assert!(check.status.success(), "{check:?}");
    let _controller = site.attach(&[]);
    let status: Value = site.status();
    let doors = status["doors"].as_array().unwrap();
    assert_eq!(doors.len(), usize::from(USERS));
    assert!(doors.iter().all(|door| door["steps"] == 3 && door["opens"] == serde_json::json!(["22/tcp"])));

    let comes_in = |machine: Machine, user: u16| {
        let server = Machine::Server.v4();
        assert!(connect(lab, machine, server, SSH).is_silence());
        let [first, second, third] = sequence(user);
        let steps = [first.to_string(), format!("{second}:udp"), third.to_string()];
        stock_knock(lab, machine, &["-d", "5"], server, &steps.each_ref().map(String::as_str));
        assert!(connect(lab, machine, server, SSH).is_accepted());
    };
    comes_in(Machine::Client, 7);
    comes_in(Machine::Stranger, 40);
    let mut expected = [(Machine::Client, "user7"), (Machine::Stranger, "user40")]
        .map(|(machine, door)| (machine.v4().to_string(), door.to_owned()));
    expected.sort();
    assert_eq!(site.grants(), expected);
}
