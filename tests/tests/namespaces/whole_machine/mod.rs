//! `policy = "drop"`: a machine of which strangers see nothing, and which itself reaches everything.

mod containers;
mod destinations;
mod link;
mod outgoing;
mod paths;
mod protocols;
mod scans;
mod transfers;

use std::net::IpAddr;

use knock_tests::lab::Machine;

use crate::site::{SSH_DOOR, Site};

const FAMILIES: [fn(Machine) -> IpAddr; 2] = [Machine::v4, Machine::v6];

/// A site whose server drops what it does not know. `filter` is added to the `[filter]` section, `rest` comes behind the door.
fn closed_site(filter: &str, rest: &str) -> Site {
    Site::new(&format!("[filter]\npolicy = \"drop\"\n{filter}\n{SSH_DOOR}{rest}"))
}

/// How many packets the filter has dropped.
fn dropped(site: &Site) -> u64 {
    site.status()["counters"]["drop"].as_u64().unwrap()
}
