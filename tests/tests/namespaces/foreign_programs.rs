//! XDP programs of somebody else's, where the filter shall be.

use std::process::Output;

use knock_tests::lab::{INTERFACE, Machine, privileged};
use serde_json::Value;

use crate::site::*;

/// Of the program on the server's interface.
fn program_id(site: &Site) -> Option<u64> {
    let listing = site.run(Machine::Server, &["ip", "-j", "link", "show", "dev", INTERFACE]);
    serde_json::from_str::<Value>(&listing).unwrap()[0]["xdp"]["prog"]["id"].as_u64()
}

fn attach(site: &Site, arguments: &[&str]) -> Output {
    site.knock_ctl(&[&["attach", "--config", text(&site.config())], arguments].concat())
}

#[track_caller]
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn one_is_left_alone_unless_it_shall_give_way() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    ForeignProgram::load().put_on(&site, INTERFACE);
    let id = program_id(&site).unwrap();
    let said = failed(&attach(&site, &[INTERFACE]));
    assert!(said.contains("eth0 has an XDP program of somebody else's already (pass_all, id "), "{said}");
    assert!(said.contains(&format!("(pass_all, id {id});")), "{said}");
    for way_out in [
        &format!("`bpftool prog show id {id}`"),
        "`knock-ctl attach --replace`",
        "`ip link set dev eth0 xdp off`",
    ] {
        assert!(said.contains(way_out), "{said}");
    }
    assert!(!site.pins().exists());
    assert_eq!(program_id(&site), Some(id), "it is still there");

    let mut controller = site.attach(&["--replace"]);
    assert_eq!(controller.count("gives way to the filter"), 1);
    assert_eq!(site.attached_mode(INTERFACE).as_deref(), Some("xdp"));
    assert!(connect(&site.lab, Machine::Client, Machine::Server.v4(), SSH).is_silence());
    drop(controller);
    // It is no program of somebody else's that is on now.
    let mut controller = site.attach(&["--replace"]);
    assert_eq!(controller.count("gives way to the filter"), 0);
    let output = site.knock_ctl(&["detach"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(controller.wait().code(), Some(0));
    assert!(site.is_without_filter());
}

#[test]
fn one_that_gave_way_for_nothing_is_put_back() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    ForeignProgram::load().put_on(&site, INTERFACE);
    let id = program_id(&site).unwrap();
    // Loopback has no native mode, and comes second.
    let said = failed(&attach(&site, &[INTERFACE, "lo", "--mode", "native", "--replace"]));
    assert!(said.contains("lo: native mode is refused"), "{said}");
    assert!(said.contains("gives way to the filter") && said.contains("is on again"), "{said}");
    assert_eq!(program_id(&site), Some(id));
    assert_eq!(site.attached_mode(INTERFACE).as_deref(), Some("xdpgeneric"), "as it was");
    assert!(!site.pins().exists());
}

#[test]
fn one_that_a_link_holds_can_only_be_named() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let mut foreign = ForeignProgram::load();
    foreign.hold_on(&site, INTERFACE);
    let id = program_id(&site).unwrap();
    let said = failed(&attach(&site, &[INTERFACE, "--replace"]));
    let expected =
        format!("eth0 has an XDP program of somebody else's (pass_all, id {id}), which can't be replaced: ");
    assert!(said.contains(&expected), "{said}");
    let (_, link) = said.split_once("run `bpftool link detach id ").unwrap();
    let link = link.split('`').next().unwrap();
    assert_eq!(program_id(&site), Some(id));
    assert!(!site.pins().exists());
    site.run(Machine::Server, &["bpftool", "link", "detach", "id", link]);
    assert_eq!(program_id(&site), None, "it was the right one");
    drop(site.attach(&["--replace"]));
}

#[test]
fn a_new_configuration_takes_the_place_of_none() {
    if !privileged() {
        return;
    }
    let on = |names: &str| format!("[filter]\ninterfaces = [{names}]\n{SSH_DOOR}");
    let site = Site::new(&on("\"lo\""));
    ForeignProgram::load().put_on(&site, INTERFACE);
    let id = program_id(&site).unwrap();
    let _controller = site.attach_as_configured();
    site.configure(&on("\"lo\", \"eth0\""));
    let said = failed(&site.knock_ctl(&["reload"]));
    assert!(said.contains("eth0 has an XDP program of somebody else's already"), "{said}");
    assert!(said.contains("knock-ctl attach --replace"), "{said}");
    assert_eq!(program_id(&site), Some(id));
}
