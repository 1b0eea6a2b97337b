//! Floods of forged packets keep nobody out who knows the sequence.

use knock_tests::lab::{Machine, Process};

use crate::site::*;

in_each_mode!(forged_first_knocks, forged_connections);

fn forged_first_knocks(mode: Mode) {
    opens_during_a_flood(mode, SSH_SEQUENCE[0], "knock");
}

fn forged_connections(mode: Mode) {
    opens_during_a_flood(mode, "22", "no_grant");
}

/// Whether a client opens the door and is let in ten times out of ten, while SYNs to a port come from random sources.
fn opens_during_a_flood(mode: Mode, port: &str, reason: &str) {
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach_in(mode);
    let server = Machine::Server.v4();
    let _flood = flood(&site, port);
    let forged = || site.counted(reason);
    eventually("the flood has begun", || forged() > 1000);
    let before = forged();
    for _ in 0..10 {
        stock_knock(lab, Machine::Client, &["-d", "20"], server, SSH_SEQUENCE);
        let mut stream = connect(lab, Machine::Client, server, SSH).stream();
        assert!(carries_data(&mut stream, limit()));
        controller.expect("OPEN SESAME");
        site.run(Machine::Server, &[text(&program()), "revoke", &Machine::Client.v4().to_string()]);
    }
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    eventually("the flood goes on", || forged() > before + 10_000);
    assert_eq!(controller.count("OPEN SESAME"), 10, "the flood opens nothing");
}

/// As many SYNs a second as leave the wire's queues room for others; hping3 speaks IPv4 alone.
fn flood(site: &Site, port: &str) -> Process {
    let server = Machine::Server.v4().to_string();
    let words =
        ["hping3", "--quiet", "--syn", "--rand-source", "--interval", "u50", "--destport", port, &server];
    site.lab.spawn_in(Machine::Stranger, &words).unwrap()
}
