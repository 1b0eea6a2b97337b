//! Interfaces come, go and are renamed while the filter is to be on them; on some it has no business.

use std::fs;
use std::time::{Duration, Instant};

use knock_tests::lab::{INTERFACE, Machine, Process, privileged};
use serde_json::Value;

use crate::site::*;

const SECOND: &str = SecondInterface::NAME;
const SECOND_ADDRESS: &str = SecondInterface::ADDRESS;

fn on_both(filter: &str) -> String {
    format!("[filter]\ninterfaces = [\"{INTERFACE}\", \"{SECOND}\"]\n{filter}{SSH_DOOR}")
}

fn ip(site: &Site, machine: Machine, arguments: &str) {
    site.lab.namespace(machine).ip(arguments).unwrap();
}

fn add_second(site: &Site, name: &str) {
    SecondInterface::add(&site.lab, name);
}

fn bring_up_second(site: &Site, name: &str) {
    SecondInterface::bring_up(&site.lab, name);
}

/// Pins of links that there are.
fn links(site: &Site) -> usize {
    let layouts = fs::read_dir(site.pins()).unwrap().map(|entry| entry.unwrap().path().join("links"));
    layouts.map(|links| fs::read_dir(links).unwrap().count()).sum()
}

fn index(site: &Site, interface: &str) -> u64 {
    let listing = site.run(Machine::Server, &["ip", "-j", "link", "show", "dev", interface]);
    serde_json::from_str::<Value>(&listing).unwrap()[0]["ifindex"].as_u64().unwrap()
}

/// `events --json`, once it follows.
fn events(site: &Site) -> Process {
    let mut events = site.lab.spawn_in(Machine::Server, &[text(&program()), "events", "--json"]).unwrap();
    eventually("it follows", || {
        site.knock_ctl(&["reload"]);
        events.expect_line("\"reload\"", Duration::from_millis(300)).is_ok()
    });
    events
}

#[track_caller]
fn expect_event(events: &mut Process, event: &str, interface: &str) -> Value {
    let line = events.expect_line(&format!("\"{event}\""), limit()).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["version"], event["interface"].as_str()), (&1.into(), Some(interface)), "{line}");
    event
}

/// Whether the client can't get in by the second interface.
fn is_closed(site: &Site) -> bool {
    connect(&site.lab, Machine::Client, SECOND_ADDRESS.parse().unwrap(), SSH).is_silence()
}

#[test]
fn one_that_goes_and_returns_is_filtered_again() {
    if !privileged() {
        return;
    }
    let site = Site::new(&on_both(""));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    add_second(&site, SECOND);
    let mut controller = site.attach_as_configured();
    let mut events = events(&site);
    let of_two = links(&site);
    assert!(is_closed(&site));
    let first_index = index(&site, SECOND);

    ip(&site, Machine::Server, &format!("link delete {SECOND}"));
    controller.expect("second0: lost: it is gone");
    assert_eq!(expect_event(&mut events, "interface_lost", SECOND)["reason"], "it is gone");
    eventually("no pin is left of it", || links(&site) == of_two / 2);
    assert!(connect(lab, Machine::Client, Machine::Server.v4(), SSH).is_silence(), "the other is as it was");
    add_second(&site, SECOND);
    controller.expect("second0: is here and filtered");
    expect_event(&mut events, "interface_back", SECOND);
    assert_ne!(index(&site, SECOND), first_index);
    assert_eq!((site.attached_mode(SECOND).as_deref(), links(&site)), (Some("xdp"), of_two));
    assert!(is_closed(&site));
    // Doors and grants are the same by every interface.
    stock_knock(lab, Machine::Client, &["-d", "5"], SECOND_ADDRESS.parse().unwrap(), SSH_SEQUENCE);
    assert!(!is_closed(&site));

    ip(&site, Machine::Server, &format!("link set {SECOND} down"));
    assert_eq!(expect_event(&mut events, "interface_lost", SECOND)["reason"], "it is set down");
    bring_up_second(&site, SECOND);
    expect_event(&mut events, "interface_back", SECOND);
    assert_eq!(site.attached_mode(SECOND).as_deref(), Some("xdp"));

    // It is not waited for once it is not wanted.
    ip(&site, Machine::Server, &format!("link delete {SECOND}"));
    expect_event(&mut events, "interface_lost", SECOND);
    let output = site.knock_ctl(&["detach", SECOND]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "second0: the filter is off\n");
    add_second(&site, SECOND);
    let output = site.knock_ctl(&["detach", INTERFACE]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(controller.wait().code(), Some(0));
    assert_eq!(site.attached_mode(SECOND), None);
    assert!(site.is_without_filter());
}

#[test]
fn one_that_returns_is_filtered_within_a_second() {
    if !privileged() {
        return;
    }
    let site = Site::new(&on_both(""));
    add_second(&site, SECOND);
    let mut controller = site.attach_as_configured();
    let returns_in_time = |_| {
        ip(&site, Machine::Server, &format!("link delete {SECOND}"));
        controller.expect("second0: lost: it is gone");
        let returned = Instant::now();
        add_second(&site, SECOND);
        controller.expect("second0: is here and filtered");
        returned.elapsed() < Duration::from_secs(1)
    };
    // Other tests may keep the machine busy.
    assert!((0..5).any(returns_in_time));
}

#[test]
fn a_renamed_one_stays_filtered_and_whatever_gets_its_name_is_filtered_too() {
    if !privileged() {
        return;
    }
    let site = Site::new(&on_both(""));
    let _service = Service::start(&site.lab, SSH);
    add_second(&site, SECOND);
    let mut controller = site.attach_as_configured();
    ip(&site, Machine::Server, &format!("link set {SECOND} down"));
    ip(&site, Machine::Server, &format!("link set {SECOND} name other0"));
    bring_up_second(&site, "other0");
    controller.expect("second0: lost: it is named other0 now");
    controller.expect("other0 stays filtered; `knock-ctl detach other0`");
    assert!(is_closed(&site));

    ip(&site, Machine::Server, "link add new0 type veth peer name peer0");
    ip(&site, Machine::Server, &format!("link set new0 name {SECOND}"));
    ip(&site, Machine::Server, &format!("link set {SECOND} up"));
    controller.expect("second0: is here and filtered");
    let modes = [INTERFACE, SECOND, "other0"].map(|name| site.attached_mode(name));
    assert_eq!(modes, [(); 3].map(|()| Some("xdp".to_owned())));

    let output = site.knock_ctl(&["detach", "other0"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!is_closed(&site));
    assert_eq!(site.attached_mode(SECOND).as_deref(), Some("xdp"));
    // A link whose interface is gone while nobody looks is cleaned up by the next controller.
    controller.kill();
    ip(&site, Machine::Server, &format!("link delete {SECOND}"));
    site.configure(SSH_DOOR);
    let before = links(&site);
    let mut controller = site.attach(&[]);
    assert_eq!(links(&site), before / 2);
    assert_eq!(controller.count("and stays filtered"), 0);
}

#[test]
fn one_that_refuses_the_filter_is_told_of_and_tried_again() {
    if !privileged() {
        return;
    }
    let site = Site::new(&on_both(""));
    let _service = Service::start(&site.lab, SSH);
    add_second(&site, SECOND);
    let mut controller = site.attach_as_configured();
    let mut events = events(&site);
    ip(&site, Machine::Server, &format!("link delete {SECOND}"));
    expect_event(&mut events, "interface_lost", SECOND);
    add_second(&site, "new0");
    ForeignProgram::load().put_on(&site, "new0");
    ip(&site, Machine::Server, "link set new0 down");
    ip(&site, Machine::Server, &format!("link set new0 name {SECOND}"));
    bring_up_second(&site, SECOND);
    controller.expect("second0 is NOT filtered: second0 has an XDP program of somebody else's already");
    let event = expect_event(&mut events, "interface_lost", SECOND);
    assert!(event["reason"].as_str().unwrap().contains("pass_all"), "{event}");
    // Somebody connects while nothing is filtered there.
    let server = SECOND_ADDRESS.parse().unwrap();
    let mut early = connect(&site.lab, Machine::Client, server, SSH).stream();
    assert!(carries_data(&mut early, limit()));
    let status = site.status();
    assert_eq!(status["interfaces"].as_array().unwrap().len(), 1, "{status}");

    ip(&site, Machine::Server, &format!("link set {SECOND} xdpgeneric off"));
    controller.expect("second0: is here and filtered");
    expect_event(&mut events, "interface_back", SECOND);
    assert!(is_closed(&site));
    assert!(carries_data(&mut early, limit()), "its connection was imported");
    assert_eq!(controller.count("is NOT filtered"), 1, "the same failure is not told every second");

    // One that goes on refusing can be given up.
    ip(&site, Machine::Server, &format!("link delete {SECOND}"));
    expect_event(&mut events, "interface_lost", SECOND);
    ip(&site, Machine::Server, "link add new0 type veth peer name peer0");
    ForeignProgram::load().put_on(&site, "new0");
    ip(&site, Machine::Server, &format!("link set new0 name {SECOND}"));
    controller.expect("second0 is NOT filtered");
    let output = site.knock_ctl(&["detach", SECOND]);
    assert!(output.status.success(), "{output:?}");
    controller.expect("second0: is not to be filtered any more");
    assert_eq!(site.attached_mode(SECOND).as_deref(), Some("xdpgeneric"));
    assert_eq!(site.attached_mode(INTERFACE).as_deref(), Some("xdp"));
}

#[test]
fn default_follows_the_default_route_and_opens_nothing_behind_it() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("[filter]\ninterfaces = [\"default\"]\n{SSH_DOOR}"));
    let _service = Service::start(&site.lab, SSH);
    add_second(&site, SECOND);
    ip(&site, Machine::Server, "route add default via 10.99.0.2");
    let mut controller = site.attach_as_configured();
    assert_eq!(site.attached_mode(INTERFACE), None);
    ip(&site, Machine::Server, "route del default");
    ip(&site, Machine::Server, &format!("route add default via {}", Machine::Client.v4()));
    controller
        .expect("the default route goes by eth0 now; second0 stays filtered, `knock-ctl detach second0`");
    controller.expect("eth0: is here and filtered");
    assert!(connect(&site.lab, Machine::Client, Machine::Server.v4(), SSH).is_silence());
    assert!(is_closed(&site));
    let output = site.knock_ctl(&["reload"]);
    assert!(output.status.success(), "{output:?}");
    assert!(is_closed(&site), "nor does a new configuration open it");
    // What is let go by name stays so.
    let output = site.knock_ctl(&["detach", SECOND]);
    assert!(output.status.success(), "{output:?}");
    ip(&site, Machine::Server, "link set second0 down");
    bring_up_second(&site, SECOND);
    assert!(!is_closed(&site));
    assert_eq!(site.attached_mode(INTERFACE).as_deref(), Some("xdp"));
}

#[test]
fn a_tunnel_without_ethernet_headers_is_refused() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let add = |name: &str, mode: &str| {
        site.run(Machine::Server, &["ip", "tuntap", "add", "dev", name, "mode", mode]);
        ip(&site, Machine::Server, &format!("link set {name} up"));
    };
    add("tunnel0", "tun");
    let output = site.knock_ctl(&["attach", "tunnel0", "--config", text(&site.config())]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("tunnel0 carries packets without an Ethernet header"), "{said}");
    assert_eq!((output.status.code(), site.attached_mode("tunnel0")), (Some(1), None));
    add("bridged0", "tap");
    let _controller = site.attach(&["bridged0"]);
    assert!(site.attached_mode("bridged0").is_some());
}

#[test]
fn a_bridges_port_is_refused_unless_only_this_machine_is_meant() {
    if !privileged() {
        return;
    }
    let site = Site::new(&on_both(""));
    add_second(&site, SECOND);
    ip(&site, Machine::Server, "link add bridge0 type bridge");
    ip(&site, Machine::Server, &format!("link set {SECOND} master bridge0"));
    let config = site.config();
    let attach = ["attach", SECOND, "--config", text(&config)];
    let refused = |output: &std::process::Output| {
        let expected = "second0 is a port of a bridge, bridge0: what others send each other through it would be filtered \
                        too; write destinations = [\"local\"]";
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(expected), "{said}");
        assert_eq!(site.attached_mode(SECOND), None);
    };
    refused(&site.knock_ctl(&attach));
    assert!(!site.pins().exists());

    // Nor does a new configuration bring the filter there.
    site.configure(&format!("[filter]\ninterfaces = [\"{INTERFACE}\"]\n{SSH_DOOR}"));
    let _controller = site.attach_as_configured();
    site.configure(&on_both(""));
    refused(&site.knock_ctl(&["reload"]));
    site.configure(&on_both("destinations = [\"local\"]\n"));
    let output = site.knock_ctl(&["reload"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(site.attached_mode(SECOND).as_deref(), Some("xdp"));
}
