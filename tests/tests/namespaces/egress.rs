//! The program on packets that leave comes, stays and goes with the filter, on either hook, and beside what others have there.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::path::PathBuf;

use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramInfo, SchedClassifier, TcAttachType};
use knock_common::hash::{HashKey, KEY_WORDS};
use knock_ctl::datapath::{self, DatapathError, EgressHook, Mode, Pins, Program, TableSizes, Variant};
use knock_ctl::rules::{PreviousStates, compile};
use knock_lab::KernelRelease;
use knock_tests::lab::{INTERFACE, Machine, privileged};
use knock_tests::model::Rules;
use knock_tests::rule_set::rule_set;
use nix::net::if_::if_nametoindex;
use serde_json::Value;

use crate::site::*;

const LOOPBACK: &str = "lo";
const NAME: &str = "knock_egress";
/// A filter that lets everything pass, in the words of `tc`.
const PASS_ALL: &[&str] = &["protocol", "all", "bpf", "bytecode", "1,6 0 0 4294967295", "flowid", "1:1"];

/// The programs at an interface of the server by TCX, in the order in which they see a packet. None before Linux 6.6.
fn by_tcx(site: &Site, interface: &str) -> Vec<u32> {
    let query = || SchedClassifier::query_tcx(interface, TcAttachType::Egress);
    match site.lab.enter(Machine::Server, query).unwrap() {
        Ok((_, programs)) => programs.iter().map(ProgramInfo::id).collect(),
        Err(_) if KernelRelease::running().unwrap() < KernelRelease(6, 6) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// A filter of a clsact qdisc.
#[derive(Debug, PartialEq, Eq)]
struct Filter {
    priority: u64,
    name: Option<String>,
    program: Option<u64>,
}

/// In the order in which they see a packet.
fn by_clsact(site: &Site, interface: &str, direction: &str) -> Vec<Filter> {
    let listing = site.run(Machine::Server, &["tc", "-j", "filter", "show", "dev", interface, direction]);
    let filters: Vec<Value> = serde_json::from_str(&listing).unwrap();
    let filters = filters.iter().filter(|filter| filter.get("options").is_some());
    filters
        .map(|filter| Filter {
            priority: filter["pref"].as_u64().unwrap(),
            name: filter["options"]["bpf_name"].as_str().map(str::to_owned),
            program: filter["options"]["prog"]["id"].as_u64(),
        })
        .collect()
}

/// The number of the program in the only filter there is, which is the program of ours.
#[track_caller]
fn only_filter(site: &Site) -> u64 {
    match &by_clsact(site, INTERFACE, "egress")[..] {
        [Filter { name: Some(name), program: Some(program), .. }] if name == NAME => *program,
        filters => panic!("{filters:?}"),
    }
}

fn qdiscs(site: &Site) -> String {
    site.run(Machine::Server, &["tc", "qdisc", "show", "dev", INTERFACE])
}

fn add_filter(site: &Site, place: &[&str]) {
    let words = [&["tc", "filter", "add", "dev", INTERFACE, "egress"], place, PASS_ALL].concat();
    site.run(Machine::Server, &words);
}

/// Loads the programs over the pinned maps of the server, and does something with them there.
fn with_program<T: Send>(site: &Site, action: impl FnOnce(&mut Program, &Pins) -> T + Send) -> T {
    let inside = || {
        let pins = Pins::of_this_namespace().unwrap();
        let compiled = compile(&rule_set(&Rules::default()), &PreviousStates::new()).unwrap();
        let cpus = std::thread::available_parallelism().unwrap().get() as u32;
        let sizes = TableSizes::new(1024, 1024, 64, &compiled, cpus);
        let key = HashKey([7; KEY_WORDS]);
        let (mut program, _maps) = Program::load(Variant::Plain, &sizes, key, Some(&pins)).unwrap();
        action(&mut program, &pins)
    };
    site.lab.enter(Machine::Server, inside).unwrap()
}

/// What a controller does first that is killed then.
fn attach_alone(site: &Site, interface: &str, hook: EgressHook) -> Result<(), DatapathError> {
    with_program(site, |program, pins| program.attach_egress(if_nametoindex(interface).unwrap(), hook, pins))
}

fn pin_of(site: &Site, index: u32) -> PathBuf {
    let layout = fs::read_dir(site.pins()).unwrap().next().unwrap().unwrap().path();
    layout.join("links").join(format!("{index}-egress"))
}

/// Whether the server can connect to the client's ports.
fn reaches_the_client(site: &Site) -> bool {
    let bind = || TcpListener::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), 0));
    let listener = site.lab.enter(Machine::Client, bind).unwrap().unwrap();
    let port = listener.local_addr().unwrap().port();
    [Machine::Client.v4(), Machine::Client.v6()]
        .into_iter()
        .all(|client| connect(&site.lab, Machine::Server, client, port).is_accepted())
}

#[test]
fn it_outlives_its_controller_is_taken_over_and_goes_with_the_filter() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("filter.policy = \"drop\"\n{SSH_DOOR}"));
    let controller = site.attach(&[]);
    let [first] = by_tcx(&site, INTERFACE)[..] else { panic!("one program") };
    assert!(reaches_the_client(&site));
    controller.kill();
    assert_eq!(by_tcx(&site, INTERFACE), [first]);
    assert!(reaches_the_client(&site), "without a controller");

    // Its like need not be loaded again.
    site.attach(&[]).kill();
    assert_eq!(by_tcx(&site, INTERFACE), [first]);
    site.forget_programs();
    let controller = site.attach(&[]);
    let [second] = by_tcx(&site, INTERFACE)[..] else { panic!("one program") };
    assert_ne!(second, first);
    assert!(reaches_the_client(&site), "after a take-over");
    controller.kill();

    let index = site.lab.enter(Machine::Server, || if_nametoindex(INTERFACE)).unwrap().unwrap();
    let pin = pin_of(&site, index);
    fs::remove_file(&pin).unwrap();
    // The kernel frees a link some time after the last that holds it is gone.
    eventually("the link is gone", || by_tcx(&site, INTERFACE).is_empty());
    assert!(!reaches_the_client(&site), "nobody notes what leaves");
    site.attach(&[]).kill();
    assert!(pin.exists() && reaches_the_client(&site), "it is there again");
    assert!(site.knock_ctl(&["detach"]).status.success());
    eventually("the link is gone", || by_tcx(&site, INTERFACE).is_empty());
    assert!(site.is_without_filter());
    assert!(!qdiscs(&site).contains("clsact"), "nobody needed it");
}

#[test]
fn by_clsact_it_does_the_same() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("filter.policy = \"drop\"\n{SSH_DOOR}"));
    attach_alone(&site, INTERFACE, EgressHook::Clsact).unwrap();
    let first = only_filter(&site);
    attach_alone(&site, INTERFACE, EgressHook::Clsact).unwrap();
    let second = only_filter(&site);
    assert_ne!(second, first, "replaced");

    let controller = site.attach(&[]);
    let third = only_filter(&site);
    assert_ne!(third, second, "taken over by a controller that would use the other hook");
    assert!(by_tcx(&site, INTERFACE).is_empty());
    assert!(reaches_the_client(&site));
    controller.kill();
    assert_eq!(only_filter(&site), third);
    assert!(reaches_the_client(&site), "without a controller");

    let mut controller = site.attach(&[]);
    assert_ne!(only_filter(&site), third);
    assert!(site.knock_ctl(&["detach"]).status.success());
    assert!(controller.wait().success());
    assert!(by_clsact(&site, INTERFACE, "egress").is_empty() && site.is_without_filter());
}

#[test]
fn what_others_have_at_clsact_stays() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("filter.policy = \"drop\"\n{SSH_DOOR}"));
    site.run(Machine::Server, &["tc", "qdisc", "add", "dev", INTERFACE, "clsact"]);
    add_filter(&site, &["pref", "10", "handle", "1"]);
    let others = || Filter { priority: 10, name: None, program: None };
    attach_alone(&site, INTERFACE, EgressHook::Clsact).unwrap();
    let controller = site.attach(&[]);
    let filters = by_clsact(&site, INTERFACE, "egress");
    assert_eq!(filters.len(), 2, "{filters:?}");
    assert_eq!(filters[0].name.as_deref(), Some(NAME), "the other one lets nobody behind it see anything");
    assert_eq!(filters[1], others());
    assert!(reaches_the_client(&site));
    controller.kill();
    assert!(site.knock_ctl(&["detach"]).status.success());
    assert_eq!(by_clsact(&site, INTERFACE, "egress"), [others()]);

    // In our very place.
    add_filter(&site, &["pref", "7", "handle", "0x6b6e6f63"]);
    let error = attach_alone(&site, INTERFACE, EgressHook::Clsact).unwrap_err().to_string();
    assert!(error.contains("File exists"), "{error}");
    site.attach(&[]).kill();
    assert_eq!(by_tcx(&site, INTERFACE).len(), 1);
    assert!(site.knock_ctl(&["detach"]).status.success());
    assert_eq!(by_clsact(&site, INTERFACE, "egress").len(), 2);
}

#[test]
fn what_others_have_at_tcx_stays_behind_it() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let (other, foreign) = with_program(&site, |program, _| {
        let program: &mut SchedClassifier = program.ebpf_mut().program_mut(NAME).unwrap().try_into().unwrap();
        program.load().unwrap();
        let order = TcAttachOptions::TcxOrder(LinkOrder::last());
        let id = program.attach_with_options(INTERFACE, TcAttachType::Egress, order).unwrap();
        (program.info().unwrap().id(), program.take_link(id).unwrap())
    });
    let controller = site.attach(&[]);
    let [ours, theirs] = by_tcx(&site, INTERFACE)[..] else { panic!("two programs") };
    assert_eq!(theirs, other);
    controller.kill();
    site.forget_programs();
    let controller = site.attach(&[]);
    let programs = by_tcx(&site, INTERFACE);
    assert!(programs.len() == 2 && programs[0] != ours && programs[1] == other, "{programs:?}");
    controller.kill();
    assert!(site.knock_ctl(&["detach"]).status.success());
    assert_eq!(by_tcx(&site, INTERFACE), [other]);
    drop(foreign);
    // A process that is just being started elsewhere holds on to it for a moment.
    eventually("nothing is left", || by_tcx(&site, INTERFACE).is_empty());
}

#[test]
fn under_the_qdisc_ingress_there_is_no_place_but_that_of_tcx() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    site.run(Machine::Server, &["tc", "qdisc", "add", "dev", INTERFACE, "ingress"]);
    let error = attach_alone(&site, INTERFACE, EgressHook::Clsact).unwrap_err().to_string();
    assert!(error.contains("eth0 has the qdisc `ingress` in its place"), "{error}");
    assert!(by_clsact(&site, INTERFACE, "ingress").is_empty());
    site.attach(&[]).kill();
    assert_eq!(by_tcx(&site, INTERFACE).len(), 1);
    assert!(site.knock_ctl(&["detach"]).status.success());
    assert!(qdiscs(&site).contains("ingress"));
}

#[test]
fn an_attach_that_fails_leaves_neither_program() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    // Loopback has no native mode.
    let arguments = ["attach", INTERFACE, LOOPBACK, "--mode", "native", "--config"];
    let config = site.config();
    let arguments = [&arguments[..], &[text(&config)]].concat();
    let fail = || {
        let output = site.knock_ctl(&arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("interfaces of this kind have none; generic mode does it"), "{error}");
        assert!(by_tcx(&site, LOOPBACK).is_empty() && site.attached_mode(LOOPBACK).is_none());
    };
    fail();
    assert!(by_tcx(&site, INTERFACE).is_empty() && site.is_without_filter());

    site.attach(&[]).kill();
    fail();
    assert_eq!(by_tcx(&site, INTERFACE).len(), 1, "it was filtered before");
    assert_eq!(site.attached_mode(INTERFACE).as_deref(), Some("xdp"));
    site.attach(&[]).kill();
}

#[test]
fn what_is_taken_over_comes_off_one_interface_at_once() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    site.attach(&[LOOPBACK]).kill();
    let _controller = site.attach(&[LOOPBACK]);
    assert!(site.knock_ctl(&["detach", INTERFACE]).status.success());
    assert!(by_tcx(&site, INTERFACE).is_empty() && site.attached_mode(INTERFACE).is_none());
    assert_eq!(by_tcx(&site, LOOPBACK).len(), 1);
    assert_eq!(site.attached_mode(LOOPBACK).as_deref(), Some("xdpgeneric"));
}

#[test]
fn what_a_killed_attach_left_goes_with_the_filter() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    attach_alone(&site, LOOPBACK, EgressHook::Clsact).unwrap();
    assert_eq!(by_clsact(&site, LOOPBACK, "egress").len(), 1);
    site.attach(&[]).kill();
    assert!(site.knock_ctl(&["detach"]).status.success());
    assert!(by_clsact(&site, LOOPBACK, "egress").is_empty() && site.is_without_filter());
}

#[test]
fn each_xdp_program_is_replaced_by_its_like() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    for mode in [Mode::Native, Mode::Generic] {
        with_program(&site, |program, pins| {
            let index = if_nametoindex(INTERFACE).unwrap();
            program.attach(index, mode, pins).unwrap();
        });
        let (before, after) = with_program(&site, |program, pins| {
            let index = if_nametoindex(INTERFACE).unwrap();
            let before = datapath::attached(pins, index).unwrap();
            program.take_over(index, pins).unwrap();
            let loaded = program.verified_instructions();
            assert_eq!(loaded.len(), 1, "no other is loaded: {loaded:?}");
            (before, datapath::attached(pins, index).unwrap())
        });
        assert_ne!(before, after);
        assert!(site.knock_ctl(&["detach"]).status.success());
    }
}
