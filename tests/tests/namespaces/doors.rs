//! A door opens by its sequence, to whoever knocked, for as long as it should.

use std::time::{Duration, Instant};

use knock_tests::lab::{Machine, lateness, privileged};

use crate::site::*;

const OPEN_FOR: Duration = Duration::from_secs(3);

in_each_mode!(a_door_opens_and_closes, with_established_cut_connections_end_with_the_grant);

fn a_door_opens_and_closes(mode: Mode) {
    let site = Site::new(&format!("{SSH_DOOR}open_for = {}\n", OPEN_FOR.as_secs()));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach_in(mode);
    assert_eq!(controller.count(&format!("eth0: attached in {} mode", mode.name())), 1);
    assert_eq!(site.attached_mode("eth0").as_deref(), Some(mode.as_link_shows()));
    for (server, client) in
        [(Machine::Server.v4(), Machine::Client.v4()), (Machine::Server.v6(), Machine::Client.v6())]
    {
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());

        let knocked = Instant::now();
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        let mut old = connect(lab, Machine::Client, server, SSH).stream();
        assert!(carries_data(&mut old, limit()));
        controller.expect(&format!("{client}: ssh: OPEN SESAME"));
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());

        controller.expect(&format!("{client}: ssh: closed"));
        let lasted = knocked.elapsed();
        let half_a_second = Duration::from_millis(500);
        assert!(lasted > OPEN_FOR - half_a_second, "{lasted:?}");
        assert!(lasted < OPEN_FOR + lateness(half_a_second), "{lasted:?}");
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        assert!(carries_data(&mut old, limit()), "the connection that was accepted lives on");
    }
}

fn with_established_cut_connections_end_with_the_grant(mode: Mode) {
    let site = Site::new(&format!("[filter]\nestablished = \"cut\"\n{SSH_DOOR}open_for = \"2s\"\n"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach_in(mode);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        let mut stream = connect(lab, Machine::Client, server, SSH).stream();
        assert!(carries_data(&mut stream, limit()));
        controller.expect("ssh: closed");
        assert!(!carries_data(&mut stream, Duration::from_secs(1)));
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    }
}

#[test]
fn our_own_client_opens_a_mixed_sequence_over_both_families() {
    if !privileged() {
        return;
    }
    let site = Site::new(
        "[doors.ssh]\nsequence = [31207, \"5481/udp\", 60122, \"8000:udp\"]\nopens = [\"22/tcp\"]\nopen_for = \"1s\"\n",
    );
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    let program = program();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let words = [
            text(&program),
            "knock",
            &server.to_string(),
            "31207",
            "5481/udp",
            "60122/tcp",
            "8000/udp",
            "--wait",
            "22/tcp",
        ];
        site.run(Machine::Client, &words);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
        controller.expect("ssh: closed");
        stock_knock(
            lab,
            Machine::Client,
            &["-d", "5"],
            server,
            &["31207", "5481:udp", "60122:tcp", "8000:udp"],
        );
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        controller.expect("ssh: closed");
    }
}

#[test]
fn a_connection_is_used_up_by_its_first_use() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("{SSH_DOOR}connections = 1\n"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach(&[]);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        let mut first = connect(lab, Machine::Client, server, SSH).stream();
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        assert!(carries_data(&mut first, limit()));
    }
}
