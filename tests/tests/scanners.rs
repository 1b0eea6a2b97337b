//! How the loaded program counts hits on closed ports. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use knock_ctl::rules::{RuleSet, ScannersRule};
use knock_tests::kernel::{KernelFilter, now};
use knock_tests::lab::privileged;
use knock_tests::model::{Door, Port, Rules};
use knock_tests::packet::Frame;
use knock_tests::rule_set::rule_set;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
/// So many are a scan.
const PORTS: u16 = 8;

fn filter() -> KernelFilter {
    let door = Door::new([7000, 8000, 9000].map(Port::tcp).to_vec(), vec![Port::tcp(22)]);
    let minutes = Duration::from_secs(600);
    let scanners =
        ScannersRule { ports: u32::from(PORTS), within: minutes, hold: minutes, include_public: false };
    let rules = rule_set(&Rules { doors: vec![door], ..Rules::default() });
    KernelFilter::new(&RuleSet { scanners: Some(scanners), ..rules }).unwrap()
}

fn hit(filter: &mut KernelFilter, source: IpAddr, port: u16) {
    filter.judge(&Frame::tcp(source, SERVER).ports(1, port).build());
}

fn is_held(filter: &KernelFilter, source: IpAddr) -> bool {
    filter.maps.held(now()).unwrap().iter().any(|(held, _)| held.to_ip() == source)
}

#[test]
fn a_port_that_is_hit_again_and_again_counts_once_however_much_others_hit() {
    if !privileged() {
        return;
    }
    let mut filter = filter();
    for _ in 0..2 * PORTS {
        hit(&mut filter, CLIENT, 22);
        filter.forget_scanned_ports();
    }
    assert!(!is_held(&filter, CLIENT));
    for port in 1001..1000 + PORTS {
        assert!(!is_held(&filter, CLIENT), "{port}");
        hit(&mut filter, CLIENT, port);
    }
    assert!(is_held(&filter, CLIENT));
}
