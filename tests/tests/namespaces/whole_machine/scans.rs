//! To a scanner the machine looks like an address where there is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use knock_tests::lab::{INTERFACE, Machine};

use super::{FAMILIES, closed_site};
use crate::site::*;

in_each_mode!(there_seems_to_be_no_machine);

/// Scans of every kind. Only that by SYN is of all ports, to keep this short: nothing in the filter depends on the others' number.
const SCANS: [&[&str]; 11] = [
    &["-sS", "-p-"],
    &["-sU", "-p1-5000"],
    &["-sA", "-p1-5000"],
    &["-sF", "-p1-5000"],
    &["-sN", "-p1-5000"],
    &["-sX", "-p1-5000"],
    &["-sS", "-p1-5000", "--source-port", "53"],
    &["-sU", "-p1-5000", "--source-port", "53"],
    &["-sS", "-p1-5000", "--badsum"],
    &["-sY", "-p1-5000"],
    &["-sO"],
];

/// Such as nmap does not have for IPv6.
const SCANS_OF_IPV4: [&[&str]; 3] = [
    &["-sS", "-p1-5000", "-f"],
    &["-sS", "-p1-5000", "-f", "-f"],
    &["-sS", "-p1-5000", "-D", "10.77.0.50,ME,10.77.0.51"],
];

/// To find out whether there is a machine, nmap pings, and knocks at the ports of https and http.
const DISCOVERY: &[&str] = &["-sn"];

fn there_seems_to_be_no_machine(mode: Mode) {
    let site = closed_site("ping = false", "");
    let lab = &site.lab;
    let services = [SSH, 80, 443, 3306].map(|port| Service::start(lab, port));
    for address in FAMILIES {
        let found = report(&site, address(Machine::Server), &["-Pn", "-sS", "-p22"]);
        assert!(found.contains("22/tcp open"), "without a filter: {found}");
    }
    let witness = Witness::start(lab, SSH, 53);
    let _controller = site.attach_in(mode);
    let nobody: [IpAddr; 2] =
        [Ipv4Addr::new(10, 77, 0, 77).into(), Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 77).into()];
    // Most of a scan is waiting: those of both families run side by side.
    thread::scope(|scope| {
        for (address, nobody) in FAMILIES.into_iter().zip(nobody) {
            let site = &site;
            scope.spawn(move || looks_like(site, address(Machine::Server), nobody));
        }
    });
    assert_eq!(witness.seen(), [].into());
    assert!(services.iter().all(|service| service.accepted() == 0));
}

fn looks_like(site: &Site, server: IpAddr, nobody: IpAddr) {
    // On its own link a machine is found out by its link, which is not what this is about.
    neighbour(site, server, Machine::Server.mac());
    neighbour(site, nobody, [0x02, 0, 0, 0, 0, 0x77]);
    let reports = |scan: &[&str]| {
        thread::scope(|scope| {
            let machine = scope.spawn(|| report(site, server, scan));
            (report(site, nobody, scan), machine.join().unwrap())
        })
    };
    let of_family = if server.is_ipv4() { &SCANS_OF_IPV4[..] } else { &[] };
    for scan in SCANS.iter().chain(of_family) {
        let (no_machine, machine) = reports(&[&["-Pn"], *scan].concat());
        assert!(no_machine.contains("are in ignored states"), "{no_machine}");
        assert_eq!(machine, no_machine, "{scan:?}");
    }
    let (no_machine, machine) = reports(DISCOVERY);
    assert!(no_machine.contains("Host seems down"), "{no_machine}");
    assert_eq!(machine, no_machine);
}

fn neighbour(site: &Site, address: IpAddr, mac: [u8; 6]) {
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    let entry = [&address.to_string(), "lladdr", &mac, "nud", "permanent", "dev", INTERFACE];
    site.run(Machine::Stranger, &[&["ip", "neighbour", "replace"], &entry[..]].concat());
}

/// What nmap tells of a target, without its name and without times.
fn report(site: &Site, target: IpAddr, scan: &[&str]) -> String {
    let name = target.to_string();
    let quick = ["--min-rate", "20000", "--max-retries", "0", "--max-rtt-timeout", "300ms"];
    // By IP, not by Ethernet: the kernel knows the neighbours.
    let common = ["nmap", "-n", "--send-ip", "--disable-arp-ping", &name];
    let family = if target.is_ipv6() { &["-6"][..] } else { &[] };
    let said = site.run(Machine::Stranger, &[&common, &quick[..], family, scan].concat());
    let is_about_target = |line: &&str| !line.starts_with("Starting Nmap") && !line.starts_with("Nmap done");
    said.lines().filter(is_about_target).map(|line| format!("{}\n", line.replace(&name, "TARGET"))).collect()
}
