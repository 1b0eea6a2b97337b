//! The filter does without its controller, and a new one takes over without a gap.

use std::fs;

use knock_tests::lab::{INTERFACE, Machine, privileged};

use crate::site::*;

#[test]
fn doors_work_while_it_is_dead_and_its_grants_outlive_it() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let servers = [Machine::Server.v4(), Machine::Server.v6()];
    site.attach(&[]).kill();
    assert_eq!(site.knock_ctl(&["status"]).status.code(), Some(4), "attached, without a controller");
    for server in servers {
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    }
    let grants = site.grants();
    let expected = [Machine::Client.v4(), Machine::Client.v6()];
    assert_eq!(grants, expected.map(|address| (address.to_string(), "ssh".to_owned())));

    let mut controller = site.attach(&[]);
    assert_eq!(controller.count("took over from an earlier controller, without a gap"), 1);
    assert_eq!(site.knock_ctl(&["status"]).status.code(), Some(0));
    assert_eq!(site.grants(), grants);
    for server in servers {
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    }
    // Told to end, it leaves the filter too, and says so.
    assert!(controller.terminate().success());
    assert_eq!(controller.count("the filter stays on"), 2);
    assert!(connect(lab, Machine::Client, servers[0], SSH).is_accepted());
    assert!(connect(lab, Machine::Stranger, servers[0], SSH).is_silence());
}

in_each_mode!(no_stranger_gets_through_while_a_controller_takes_over);

fn no_stranger_gets_through_while_a_controller_takes_over(mode: Mode) {
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let service = Service::start(lab, SSH);
    site.attach_in(mode).kill();
    let before = TcpCounters::of(lab, Machine::Server);
    let dropped = site.counted("no_grant");
    let sent = hammer(lab, || {
        for _ in 0..2 {
            site.forget_programs();
            site.attach_in(mode).kill();
        }
    });
    assert!(sent > 5000, "{sent}");
    eventually("every SYN is counted as dropped", || site.counted("no_grant") == dropped + sent);
    assert_eq!(TcpCounters::of(lab, Machine::Server), before, "not one SYN reached the server's TCP");
    assert_eq!(service.accepted(), 0);
}

#[test]
fn a_start_command_missed_while_it_was_dead_runs_once() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let started = site.file("started");
    site.configure(&format!("{SSH_DOOR}start_command = \"echo %IP% >> {}\"\n", text(&started)));
    site.attach(&[]).kill();
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    eventually("the door is open", || site.grants().len() == 1);
    let mut controller = site.start(&[]);
    controller.expect("ssh: running command");
    let expected = format!("{}\n", Machine::Client.v4());
    eventually("the command has run", || fs::read_to_string(&started).is_ok_and(|text| text == expected));
    controller.kill();
    drop(site.attach(&[]));
    assert_eq!(fs::read_to_string(&started).unwrap(), expected);
}

#[test]
fn a_stop_command_due_while_it_was_dead_runs_once() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let (started, stopped) = (site.file("started"), site.file("stopped"));
    site.configure(&format!(
        "{SSH_DOOR}open_for = \"1s\"\nstart_command = \"echo %IP% >> {}\"\nstop_command = \"echo %IP% >> {}\"\n",
        text(&started),
        text(&stopped)
    ));
    let mut controller = site.attach(&[]);
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v6(), SSH_SEQUENCE);
    let expected = format!("{}\n", Machine::Client.v6());
    eventually("it has begun", || fs::read_to_string(&started).is_ok_and(|text| text == expected));
    controller.expect("ssh: running command");
    controller.kill();
    eventually("the grant has ended", || site.grants().is_empty());
    assert!(!stopped.exists());
    let mut controller = site.start(&[]);
    controller.expect("ssh: running command");
    eventually("the command has run", || fs::read_to_string(&stopped).is_ok_and(|text| text == expected));
    assert!(controller.terminate().success());
    drop(site.attach(&[]));
    assert_eq!(fs::read_to_string(&stopped).unwrap(), expected);
    assert_eq!(fs::read_to_string(&started).unwrap(), expected);
}

#[test]
fn small_tables_do_not_fill_up_while_it_is_dead() {
    if !privileged() {
        return;
    }
    let flows = 256;
    let site = Site::new(&format!("[limits]\nflows = {flows}\n{SSH_DOOR}open_for = \"10m\"\n"));
    let lab = &site.lab;
    let service = Service::start(lab, SSH);
    site.attach(&[]).kill();
    let server = Machine::Server.v4();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    let mut long = connect(lab, Machine::Client, server, SSH).stream();
    for number in 0..10 * flows {
        let mut stream = connect(lab, Machine::Client, server, SSH).stream();
        assert!(carries_data(&mut stream, limit()), "connection {number}");
    }
    assert!(carries_data(&mut long, limit()), "the first of all lives on");
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        stock_knock(lab, Machine::Stranger, &["-d", "5"], server, SSH_SEQUENCE);
        let mut stream = connect(lab, Machine::Stranger, server, SSH).stream();
        assert!(carries_data(&mut stream, limit()));
    }
    assert_eq!(service.accepted(), 10 * flows + 3);
    let mut new = connect(lab, Machine::Client, server, SSH).stream();
    assert!(carries_data(&mut new, limit()));
}

#[test]
fn detach_takes_the_filter_off_without_it() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    site.attach(&[]).kill();
    let output = site.knock_ctl(&["detach"]);
    assert!(output.status.success(), "{output:?}");
    assert!(site.is_without_filter());
    assert!(connect(lab, Machine::Stranger, Machine::Server.v4(), SSH).is_accepted());
    assert_eq!(site.knock_ctl(&["status"]).status.code(), Some(3), "not attached");
    let again = site.knock_ctl(&["detach", INTERFACE]);
    assert_eq!(again.status.code(), Some(1));
    let reason = String::from_utf8(again.stderr).unwrap();
    assert!(reason.contains("the filter is not attached"), "{reason}");
}

#[test]
fn detach_ends_a_running_one() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let stopped = site.file("stopped");
    site.configure(&format!("{SSH_DOOR}stop_command = \"echo %IP% >> {}\"\n", text(&stopped)));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    let server = Machine::Server.v4();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    controller.expect("OPEN SESAME");
    let output = site.knock_ctl(&["detach"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "eth0: the filter is off\n");
    assert_eq!(controller.wait().code(), Some(0));
    assert!(site.is_without_filter());
    assert_eq!(fs::read_to_string(&stopped).unwrap(), format!("{}\n", Machine::Client.v4()));
    assert!(connect(lab, Machine::Stranger, server, SSH).is_accepted());
}
