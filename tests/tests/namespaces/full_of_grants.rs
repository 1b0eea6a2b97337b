//! A table of grants that is full.

use knock_tests::lab::{Machine, privileged};

use crate::site::*;

const ROOM: u8 = 16;

#[test]
fn those_given_by_hand_keep_nobody_out_once_they_have_ended() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("[limits]\ngrants = {ROOM}\n{SSH_DOOR}"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let controller = site.attach(&[]);
    let grant = |number: u8| {
        let output = site.knock_ctl(&["grant", &format!("192.0.2.{number}"), "ssh", "--for", "2s"]);
        assert!(output.status.success(), "{output:?}");
    };
    // Twice as many as there is room for, of which the second half takes the place of the first.
    (1..=ROOM).for_each(grant);
    eventually("they have ended", || site.grants().is_empty());
    (ROOM + 1..=2 * ROOM).for_each(grant);
    eventually("they have ended too", || site.grants().is_empty());
    // Nobody but the program is there to make room.
    controller.kill();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
    }
}
