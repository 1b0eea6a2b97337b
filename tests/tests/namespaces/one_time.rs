//! Doors with one-time sequences.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use knock_tests::lab::{Machine, privileged};
use nix::sys::signal::Signal;

use crate::site::*;

const FAMILIES: [fn(Machine) -> IpAddr; 2] = [Machine::v4, Machine::v6];
/// Lines in the kernel at once.
const PRELOADED: usize = 4;

/// A site with a door of so many lines.
fn site(lines: usize, more: &str) -> Site {
    let site = Site::new("");
    write(&site, &(0..lines).map(line).collect::<String>());
    site.configure(&format!(
        "[doors.ssh]\none_time_sequences = \"ssh.sequences\"\nopens = [\"22/tcp\"]\nopen_for = \"10m\"\n{more}"
    ));
    site
}

fn write(site: &Site, text: &str) {
    let file = site.file("ssh.sequences");
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
}

fn line(number: usize) -> String {
    format!(" {}\n", steps(number).join(","))
}

/// Lines share their ends, and some of them their beginnings.
fn steps(number: usize) -> Vec<String> {
    vec![format!("{}", 7000 + number / 2), format!("{}:udp", 8000 + number), "9000".to_owned()]
}

fn knock(site: &Site, from: Machine, server: IpAddr, number: usize) {
    let steps = steps(number);
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    stock_knock(&site.lab, from, &["-d", "5"], server, &steps);
}

fn is_open(site: &Site, server: IpAddr) -> bool {
    connect(&site.lab, Machine::Client, server, SSH).is_accepted()
}

fn used(site: &Site) -> Vec<bool> {
    let text = fs::read_to_string(site.file("ssh.sequences")).unwrap();
    text.lines().map(|line| line.starts_with('#')).collect()
}

fn control(site: &Site, arguments: &[&str]) {
    let output = site.knock_ctl(arguments);
    assert!(output.status.success(), "{output:?}");
}

fn revoke(site: &Site) {
    for address in FAMILIES {
        control(site, &["revoke", &address(Machine::Client).to_string()]);
    }
}

#[test]
fn each_works_once_and_in_its_turn() {
    if !privileged() {
        return;
    }
    const LINES: usize = 7;
    let site = site(LINES, "");
    let _service = Service::start(&site.lab, SSH);
    let mut controller = site.attach(&[]);
    for number in 0..LINES {
        let server = FAMILIES[number % 2](Machine::Server);
        // Neither one that was used nor one whose turn has not come.
        for other in (0..LINES).filter(|other| *other != number) {
            knock(&site, Machine::Client, server, other);
        }
        assert!(!is_open(&site, server), "{number}");
        knock(&site, Machine::Client, server, number);
        assert!(is_open(&site, server), "{number}");
        let left = LINES - number - 1;
        let says = if left == 0 { "the door is shut".to_owned() } else { format!("{left} left") };
        controller.expect(&says);
        assert_eq!(used(&site), (0..LINES).map(|line| line <= number).collect::<Vec<_>>());
        let listing = String::from_utf8(site.knock_ctl(&["grants", "--json"]).stdout).unwrap();
        assert!(listing.contains("one_time"), "{listing}");
        revoke(&site);
    }
    for number in 0..LINES {
        knock(&site, Machine::Client, Machine::Server.v4(), number);
    }
    assert!(!is_open(&site, Machine::Server.v4()));
    // New lines open it again.
    let text = fs::read_to_string(site.file("ssh.sequences")).unwrap();
    write(&site, &(text + &line(20)));
    control(&site, &["reload"]);
    knock(&site, Machine::Client, Machine::Server.v4(), 20);
    assert!(is_open(&site, Machine::Server.v4()));
}

#[test]
fn those_in_the_kernel_work_without_a_controller_and_are_marked_by_the_next() {
    if !privileged() {
        return;
    }
    let site = site(PRELOADED + 2, "");
    let _service = Service::start(&site.lab, SSH);
    site.attach(&[]).kill();
    for number in 0..PRELOADED {
        knock(&site, Machine::Client, Machine::Server.v4(), number);
        assert!(is_open(&site, Machine::Server.v4()), "{number}");
        revoke(&site);
        knock(&site, Machine::Client, Machine::Server.v4(), number);
        assert!(!is_open(&site, Machine::Server.v4()), "{number} again");
    }
    knock(&site, Machine::Client, Machine::Server.v4(), PRELOADED);
    assert!(!is_open(&site, Machine::Server.v4()), "it is not in the kernel yet");
    assert_eq!(used(&site), [false; PRELOADED + 2]);

    let controller = site.attach(&[]);
    assert_eq!(used(&site), [true, true, true, true, false, false]);
    knock(&site, Machine::Client, Machine::Server.v4(), 3);
    assert!(!is_open(&site, Machine::Server.v4()));
    knock(&site, Machine::Client, Machine::Server.v4(), PRELOADED);
    assert!(is_open(&site, Machine::Server.v4()));
    eventually("it is marked", || used(&site)[PRELOADED]);
    controller.kill();

    // Nobody asks a controller to take the filter off.
    revoke(&site);
    knock(&site, Machine::Client, Machine::Server.v4(), PRELOADED + 1);
    control(&site, &["detach"]);
    assert_eq!(used(&site), [true; PRELOADED + 2]);
}

#[test]
fn after_a_crash_of_the_machine_those_in_the_kernel_count_as_used() {
    if !privileged() {
        return;
    }
    let site = site(PRELOADED + 1, "");
    let _service = Service::start(&site.lab, SSH);
    site.attach(&[]).kill();
    // What a crash leaves: no tables.
    for pins in fs::read_dir(site.pins()).unwrap() {
        let _ = fs::remove_file(pins.unwrap().path());
    }
    fs::remove_dir_all(site.pins()).unwrap();
    fs::remove_dir_all(site.runtime_directory()).unwrap();
    eventually("the filter is gone", || site.is_without_filter());
    let mut controller = site.start(&[]);
    controller.expect("count as used");
    controller.expect("watching;");
    assert_eq!(used(&site), [true, true, true, true, false]);
    knock(&site, Machine::Client, Machine::Server.v4(), 0);
    assert!(!is_open(&site, Machine::Server.v4()));
    knock(&site, Machine::Client, Machine::Server.v4(), PRELOADED);
    assert!(is_open(&site, Machine::Server.v4()));
}

#[test]
fn of_many_who_use_one_at_once_one_is_let_in() {
    if !privileged() {
        return;
    }
    const ROUNDS: usize = 12;
    let site = site(ROUNDS, "");
    site.lab.spread_flows_over_cpus().unwrap();
    let mut controller = site.attach(&[]);
    let address = |number: u8| IpAddr::from([10, 77, 0, 100 + number]);
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            for number in 0..4 {
                let socket = site.lab.raw_socket(Machine::Client).unwrap();
                scope.spawn(move || {
                    let knocks = [
                        Knock::Tcp(7000 + round as u16 / 2),
                        Knock::Udp(8000 + round as u16),
                        Knock::Tcp(9000),
                    ];
                    knock_raw(
                        &socket,
                        address(number),
                        Machine::Server.v4(),
                        &knocks,
                        Duration::from_millis(1),
                    );
                });
            }
        });
        eventually("it is used", || used(&site)[round]);
        assert_eq!(site.grants().len(), 1, "{round}");
        for number in 0..4 {
            control(&site, &["revoke", &address(number).to_string()]);
        }
    }
    controller.expect("the door is shut");
}

#[test]
fn what_cannot_be_marked_is_not_forgotten() {
    if !privileged() {
        return;
    }
    let site = site(PRELOADED + 1, "");
    let _service = Service::start(&site.lab, SSH);
    let server = Machine::Server.v4();
    // For this controller alone.
    let script = format!(
        "mount --bind {file} {file}; mount -o remount,bind,ro {file}; exec {program} attach eth0 --config {config}",
        file = text(&site.file("ssh.sequences")),
        program = text(&program()),
        config = text(&site.config()),
    );
    let attach =
        || site.lab.spawn_in(Machine::Server, &["unshare", "--mount", "sh", "-ec", &script]).unwrap();
    let mut controller = attach();
    controller.expect_line("watching;", limit()).unwrap();
    for number in 0..PRELOADED {
        knock(&site, Machine::Client, server, number);
        assert!(is_open(&site, server), "{number}");
        revoke(&site);
        knock(&site, Machine::Client, server, number);
        assert!(!is_open(&site, server), "{number} again");
    }
    controller.expect_line("cannot mark a used one-time sequence", limit()).unwrap();
    knock(&site, Machine::Client, server, PRELOADED);
    assert!(!is_open(&site, server), "no other follows");
    controller.signal(Signal::SIGKILL).unwrap();
    controller.wait(limit()).unwrap();
    assert_eq!(used(&site), [false; PRELOADED + 1]);

    let mut refused = attach();
    refused.expect_line("cannot mark the one-time sequences of ssh that are used", limit()).unwrap();
    assert_eq!(refused.wait(limit()).unwrap().code(), Some(1));

    let _controller = site.attach(&[]);
    assert_eq!(used(&site), [true, true, true, true, false]);
    knock(&site, Machine::Client, server, 0);
    assert!(!is_open(&site, server));
    knock(&site, Machine::Client, server, PRELOADED);
    assert!(is_open(&site, server));
}
