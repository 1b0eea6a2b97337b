//! `[scanners]`: who hits many closed ports is held, but nobody who is known here.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use aya::maps::{HashMap, Map, MapData};
use knock_ctl::datapath::Pins;
use knock_tests::lab::{Machine, Process, privileged};
use knock_tests::packet::Frame;
use serde_json::Value;

use crate::site::*;

in_each_mode!(
    a_scan_has_its_source_held,
    include_public_takes_the_public_ports_too,
    a_held_source_knocks_its_way_in,
    under_the_drop_policy_too,
    who_is_trusted_with_some_port_is_never_held,
    who_holds_a_grant_is_never_held,
    who_has_a_connection_is_never_held,
    whom_this_machine_speaks_with_is_never_held,
    a_hold_ends_by_itself_and_counting_begins_anew,
    a_flood_in_forged_names_keeps_no_friend_out,
);

const PUBLIC: u16 = 80;
/// No rule names it.
const UNLISTED: u16 = 8080;
/// So many are a scan.
const PORTS: u16 = 20;
const FAMILIES: [fn(Machine) -> IpAddr; 2] = [Machine::v4, Machine::v6];

/// A site with services, which holds scanners.
fn site(filter: &str, door: &str, scanners: &str) -> Site {
    let site = Site::new(&format!("{}\n[scanners]\n{scanners}", without_scanners(filter, door)));
    for port in [SSH, PUBLIC, UNLISTED] {
        Service::start(&site.lab, port);
    }
    site
}

fn without_scanners(filter: &str, door: &str) -> String {
    format!("[filter]\npublic = [\"{PUBLIC}/tcp\"]\n{filter}\n{SSH_DOOR}{door}\n")
}

fn a_scan_has_its_source_held(mode: Mode) {
    let site = site("", "", "");
    let lab = &site.lab;
    let mut controller = site.attach_in(mode);
    let mut events = events(&site);
    for address in FAMILIES {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted());
        nmap(&site, server);
        controller.expect(&format!("{client}: held for scanning"));
        let line = events.expect_line(&format!("\"{client}\""), limit()).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["version"], 1);
        assert_eq!(event["event"], "source_held");
        assert_eq!(held(&site), [client.to_string()]);
        let left = site.status()["held"][0]["expires_in_ms"].as_u64().unwrap();
        assert!((540_000..=600_000).contains(&left), "{left}");
        let listing = site.run(Machine::Server, &[text(&program()), "status"]);
        assert!(listing.contains(&format!("{client} for scanning")), "{listing}");

        let before = site.counted("held");
        for port in [UNLISTED, SSH, 9] {
            assert!(connect(lab, Machine::Client, server, port).is_silence(), "{port}");
        }
        assert_eq!(site.counted("held"), before + 3);
        assert!(connect(lab, Machine::Client, server, PUBLIC).is_accepted());
        assert!(connect(lab, Machine::Stranger, server, UNLISTED).is_accepted(), "another source");
        assert!(revoke(&site, client).contains("held for scanning no more"));
        assert!(held(&site).is_empty());
        assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted(), "at once");
        assert!(!revoke(&site, client).contains("held"), "it was not");
    }
    assert_eq!(controller.count("held for scanning"), 2 + controller.count(&nobody(Machine::v4).to_string()));
}

fn include_public_takes_the_public_ports_too(mode: Mode) {
    let site = site("", "", "include_public = true\n");
    let lab = &site.lab;
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let server = address(Machine::Server);
        assert!(connect(lab, Machine::Client, server, PUBLIC).is_accepted());
        scan(&site, Machine::Client, address(Machine::Client), server, PORTS);
        for port in [UNLISTED, PUBLIC] {
            assert!(connect(lab, Machine::Client, server, port).is_silence(), "{port}");
        }
        assert!(connect(lab, Machine::Stranger, server, PUBLIC).is_accepted(), "another source");
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, PUBLIC).is_accepted());
    }
}

fn a_held_source_knocks_its_way_in(mode: Mode) {
    let site = site("", "open_for = \"2s\"\n", "");
    let lab = &site.lab;
    let mut controller = site.attach_in(mode);
    for address in FAMILIES {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        scan(&site, Machine::Client, client, server, PORTS);
        assert_eq!(held(&site), [client.to_string()]);
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        controller.expect("ssh: OPEN SESAME");
        assert!(held(&site).is_empty(), "who is let in is not held");
        assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted());
        // No connection was made under the grant, so that he is a stranger again at its end, and still held.
        eventually("the grant ends", || site.grants().is_empty());
        assert_eq!(held(&site), [client.to_string()]);
        assert!(connect(lab, Machine::Client, server, UNLISTED).is_silence());
        revoke(&site, client);
    }
}

fn under_the_drop_policy_too(mode: Mode) {
    let site = site("policy = \"drop\"", "", "");
    let lab = &site.lab;
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        scan(&site, Machine::Client, client, server, PORTS);
        assert_eq!(held(&site), [client.to_string()]);
        let before = (site.counted("held"), site.counted("policy_drop"));
        assert!(connect(lab, Machine::Client, server, UNLISTED).is_silence());
        assert_eq!((site.counted("held"), site.counted("policy_drop")), (before.0 + 1, before.1));
        assert!(connect(lab, Machine::Client, server, PUBLIC).is_accepted());
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
    }
}

fn who_is_trusted_with_some_port_is_never_held(mode: Mode) {
    let trusted = FAMILIES.map(|address| {
        let client = address(Machine::Client);
        format!("{{ from = \"{client}\", to = [\"9100/tcp\"] }}")
    });
    let site = site(&format!("trusted = [{}]", trusted.join(", ")), "", "");
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        assert_scans_in_its_name_do_not_harm_the_client(&site, address);
    }
}

fn who_holds_a_grant_is_never_held(mode: Mode) {
    let site = site("", "", "");
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        stock_knock(&site.lab, Machine::Client, &["-d", "5"], address(Machine::Server), SSH_SEQUENCE);
        assert_scans_in_its_name_do_not_harm_the_client(&site, address);
    }
}

fn who_has_a_connection_is_never_held(mode: Mode) {
    let site = site("", "open_for = \"1s\"\n", "");
    let lab = &site.lab;
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let server = address(Machine::Server);
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        let mut stream = connect(lab, Machine::Client, server, SSH).stream();
        assert!(carries_data(&mut stream, limit()));
        eventually("the grant ends", || site.grants().is_empty());
        assert_scans_in_its_name_do_not_harm_the_client(&site, address);
        assert!(carries_data(&mut stream, limit()));
        assert!(connect(lab, Machine::Client, server, SSH).is_silence(), "the grant has ended");
    }
}

fn whom_this_machine_speaks_with_is_never_held(mode: Mode) {
    let site = site("", "", "");
    let lab = &site.lab;
    let _services =
        [Service::on(lab, Machine::Client, UNLISTED), Service::on(lab, Machine::Stranger, UNLISTED)];
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let mut stream = connect(lab, Machine::Server, address(Machine::Client), UNLISTED).stream();
        assert!(carries_data(&mut stream, limit()));
        assert_scans_in_its_name_do_not_harm_the_client(&site, address);
        assert!(carries_data(&mut stream, limit()));
    }
}

/// That somebody scans in the client's name does not have it held, where it has a nobody held.
#[track_caller]
fn assert_scans_in_its_name_do_not_harm_the_client(site: &Site, address: fn(Machine) -> IpAddr) {
    let (client, server) = (address(Machine::Client), address(Machine::Server));
    let (nobody, lab) = (nobody(address), &site.lab);
    for source in [client, nobody] {
        scan(site, Machine::Stranger, source, server, 3 * PORTS);
    }
    assert_eq!(held(site), [nobody.to_string()]);
    assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted());
    assert!(connect(lab, Machine::Client, server, PUBLIC).is_accepted());
    revoke(site, nobody);
}

fn a_hold_ends_by_itself_and_counting_begins_anew(mode: Mode) {
    let site = site("", "", "hold = \"2s\"\n");
    let lab = &site.lab;
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        let begun = Instant::now();
        scan(&site, Machine::Client, client, server, PORTS);
        assert_eq!(held(&site), [client.to_string()]);
        eventually("the hold ends", || held(&site).is_empty());
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted());
        scan(&site, Machine::Client, client, server, PORTS - 1);
        assert!(held(&site).is_empty());
        scan(&site, Machine::Client, client, server, PORTS);
        assert_eq!(held(&site), [client.to_string()]);
        revoke(&site, client);
    }
}

#[test]
fn nobody_is_held_unless_the_configuration_says_so() {
    if !privileged() {
        return;
    }
    let site = site("", "", "");
    let lab = &site.lab;
    site.configure(&without_scanners("", ""));
    let mut controller = site.attach(&[]);
    let reload = |scanners: &str| {
        site.configure(&format!("{}{scanners}", without_scanners("", "")));
        site.run(Machine::Server, &[text(&program()), "reload"]);
    };
    for address in FAMILIES {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        scan(&site, Machine::Client, client, server, 10 * PORTS);
        assert!(held(&site).is_empty());
        assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted());
        assert_eq!(site.counted("held"), 0);
    }
    let (client, server) = (Machine::Client.v4(), Machine::Server.v4());
    reload("[scanners]\n");
    scan(&site, Machine::Client, client, server, PORTS);
    assert_eq!(held(&site), [client.to_string()]);
    controller.expect("held for scanning");
    assert!(connect(lab, Machine::Client, server, UNLISTED).is_silence());
    reload("");
    assert!(held(&site).is_empty(), "no rule holds anybody");
    assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted());
}

/// Scans in names made up at random, and in the friend's.
fn a_flood_in_forged_names_keeps_no_friend_out(mode: Mode) {
    // What is sent from elsewhere in his name does not disturb his attempts.
    let site = site("", "same_ttl = true\n", "");
    let lab = &site.lab;
    let mut controller = site.attach_in(mode);
    let (client, server) = (Machine::Client.v4(), Machine::Server.v4());
    let target = server.to_string();
    let flood = ["hping3", "--quiet", "--syn", "--rand-source", "--interval", "u50", "--destport", "++100"];
    let _flood = lab.spawn_in(Machine::Stranger, &[&flood[..], &[&target]].concat()).unwrap();
    let friend = client.to_string();
    let in_his_name = [
        "hping3",
        "--quiet",
        "--syn",
        "--spoof",
        &friend,
        "--ttl",
        "77",
        "--interval",
        "u500",
        "--destport",
        "++100",
    ];
    let _in_his_name = lab.spawn_in(Machine::Stranger, &[&in_his_name[..], &[&target]].concat()).unwrap();
    eventually("the flood has begun", || judged(&site) > 1000);
    eventually("he is held", || held(&site).contains(&friend));
    assert!(connect(lab, Machine::Client, server, UNLISTED).is_silence());
    stock_knock(lab, Machine::Client, &["-d", "20"], server, SSH_SEQUENCE);
    for port in [UNLISTED, SSH] {
        assert!(carries_data(&mut connect(lab, Machine::Client, server, port).stream(), limit()), "{port}");
    }
    controller.expect("OPEN SESAME");
    // He is known for as long as he may have that connection.
    revoke(&site, client);
    let before = judged(&site);
    eventually("the flood goes on", || judged(&site) > before + 1000);
    assert!(connect(lab, Machine::Client, server, UNLISTED).is_accepted());
    assert!(!held(&site).contains(&friend));
    // Whoever hits one port takes no room among the ports.
    for (name, least) in [("SCANS", 1000), ("SCANNED", 1)] {
        let (used, max) = entries(&site, name);
        assert!((least..=max).contains(&used), "{name}: {used} of {max}");
    }
}

/// Entries of a map with keys of whole words: how many there are, and can be.
fn entries(site: &Site, name: &str) -> (usize, usize) {
    let pins = site.lab.enter(Machine::Server, Pins::of_this_namespace).unwrap().unwrap();
    let data = MapData::from_pin(pins.map(name)).unwrap();
    let max = data.info().unwrap().max_entries() as usize;
    let map = Map::from_map_data(data).unwrap();
    let used = match name {
        "SCANS" => HashMap::<_, [u64; 2], [u64; 3]>::try_from(map).unwrap().keys().count(),
        _ => HashMap::<_, [u64; 3], u64>::try_from(map).unwrap().keys().count(),
    };
    (used, max)
}

/// Runs a port scan from the client, of ports nobody else uses.
fn nmap(site: &Site, server: IpAddr) {
    let target = server.to_string();
    let family = if server.is_ipv6() { &["-6"][..] } else { &[] };
    let words = ["nmap", "-Pn", "-n", "-sS", "--max-retries", "0", "-p100-160", "-oG", "-", &target];
    let report = site.run(Machine::Client, &[&words, family].concat());
    assert!(report.contains("# Nmap done"), "{report}");
}

/// Shows the filter a SYN to each of so many closed ports, in the name of `source`; returns once it has judged them.
fn scan(site: &Site, from: Machine, source: IpAddr, server: IpAddr, ports: u16) {
    let socket = site.lab.raw_socket(from).unwrap();
    let before = judged(site);
    for port in (20_000..).take(usize::from(ports)) {
        socket.send(&Frame::tcp(source, server).ports(40_000, port).build()).unwrap();
    }
    eventually("all are judged", || judged(site) >= before + u64::from(ports));
}

/// Packets so far.
fn judged(site: &Site) -> u64 {
    let status = site.status();
    let counted = |verdict: &str| status["counters"][verdict].as_u64().unwrap();
    counted("pass") + counted("drop")
}

/// The sources that `status --json` tells of.
fn held(site: &Site) -> Vec<String> {
    let status = site.status();
    let held = status["held"].as_array().unwrap();
    held.iter().map(|held| held["address"].as_str().unwrap().to_owned()).collect()
}

fn revoke(site: &Site, source: IpAddr) -> String {
    site.run(Machine::Server, &[text(&program()), "revoke", &source.to_string()])
}

/// An address on the wire that no machine has.
fn nobody(address: fn(Machine) -> IpAddr) -> IpAddr {
    match address(Machine::Server) {
        IpAddr::V4(_) => [10, 77, 0, 99].into(),
        IpAddr::V6(_) => [0xfd00, 0x77, 0, 0, 0, 0, 0, 0x99].into(),
    }
}

/// `events --json`, once it follows: nothing else tells when it has begun to.
fn events(site: &Site) -> Process {
    let mut events = site.lab.spawn_in(Machine::Server, &[text(&program()), "events", "--json"]).unwrap();
    let nobody = nobody(Machine::v4);
    eventually("it follows", || {
        scan(site, Machine::Stranger, nobody, Machine::Server.v4(), PORTS);
        revoke(site, nobody);
        events.expect_line("source_held", Duration::from_millis(300)).is_ok()
    });
    events
}
