//! What routers on the way say is heard.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use knock_tests::lab::{INTERFACE, Machine};

use super::{FAMILIES, closed_site};
use crate::site::*;

in_each_mode!(of_packets_that_are_too_big, of_packets_that_have_gone_too_far);

const PORT: u16 = 8080;

/// Of the link behind the router; the least that IPv6 allows.
const NARROW: u16 = 1280;

fn of_packets_that_are_too_big(mode: Mode) {
    let site = closed_site("", "");
    let lab = &site.lab;
    let far = far_away(&site);
    let _service = Service::on(lab, Machine::Client, PORT);
    let _controller = site.attach_in(mode);
    for to in far {
        let mut stream = connect(lab, Machine::Server, to, PORT).stream();
        let mut writer = stream.try_clone().unwrap();
        let sent: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
        let mut received = vec![0; sent.len()];
        stream.set_read_timeout(Some(limit())).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&sent).unwrap());
            stream.read_exact(&mut received).unwrap();
        });
        assert!(sent == received);
        let route = site.run(Machine::Server, &["ip", "route", "get", &to.to_string()]);
        assert!(route.contains(&format!("mtu {NARROW}")), "{route}");
    }
}

fn of_packets_that_have_gone_too_far(mode: Mode) {
    let site = closed_site("", "");
    let far = far_away(&site);
    let _controller = site.attach_in(mode);
    for (address, to) in FAMILIES.into_iter().zip(far) {
        let to = to.to_string();
        // With datagrams, pings and SYNs.
        for how in [&[][..], &["-I"], &["-T", "-p", "8080"]] {
            let words =
                [&["traceroute", "-n", "-q", "1", "-w", "5", "-m", "4"], how, &[to.as_str()]].concat();
            let found = site.run(Machine::Server, &words);
            let hops: Vec<&str> =
                found.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
            assert_eq!(hops, [&address(Machine::Stranger).to_string(), &to], "{words:?}: {found}");
        }
    }
}

/// Addresses of the client that the server reaches by way of the stranger, over a link with a smaller MTU.
fn far_away(site: &Site) -> [IpAddr; 2] {
    let far: [IpAddr; 2] =
        [Ipv4Addr::new(10, 78, 0, 2).into(), Ipv6Addr::new(0xfd00, 0x78, 0, 0, 0, 0, 0, 2).into()];
    // The way by the stranger is a detour; nobody is to say so.
    site.run(
        Machine::Server,
        &["sysctl", "-qw", "net.ipv4.conf.all.accept_redirects=0", "net.ipv4.conf.eth0.accept_redirects=0"],
    );
    site.run(Machine::Server, &["sysctl", "-qw", "net.ipv6.conf.eth0.accept_redirects=0"]);
    site.run(
        Machine::Stranger,
        &[
            "sysctl",
            "-qw",
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.icmp_ratelimit=0",
        ],
    );
    site.run(Machine::Stranger, &["sysctl", "-qw", "net.ipv6.icmp.ratelimit=0"]);
    for (address, to) in FAMILIES.into_iter().zip(far) {
        let ip = |machine: Machine, words: &[&str]| {
            site.run(machine, &[&["ip"], words].concat());
        };
        let (to, router) = (to.to_string(), address(Machine::Stranger).to_string());
        ip(Machine::Client, &["address", "add", &to, "dev", INTERFACE]);
        ip(Machine::Server, &["route", "add", &to, "via", &router]);
        let narrow = ["mtu", "lock", &NARROW.to_string()];
        ip(Machine::Stranger, &[&["route", "add", &to, "dev", INTERFACE][..], &narrow].concat());
    }
    far
}
