//! One version takes over from another on a machine that is in use: nobody inside loses anything, nobody outside gets in.

mod conversations;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aya::programs::loaded_links;
use knock_tests::lab::{INTERFACE, Machine, packages, privileged};
use serde_json::Value;
use tempfile::TempDir;

use crate::site::*;
use conversations::Conversations;

/// Sources that have knocked, half of them of each family.
const SOURCES: u16 = 100;

#[test]
fn nothing_is_lost_to_an_upgrade_and_a_downgrade() {
    if !privileged() {
        return;
    }
    let Some(packages) = packages() else { return };
    let [older, newer] = packages.map(|package| Unpacked::new(&package));
    assert_ne!(older.version(), newer.version());
    let site = site();
    let mut crowd = Crowd::gather(&site, &older.program(), 100);
    for program in [newer.program(), older.program()] {
        crowd.outlives(&site, &program);
    }
}

#[test]
fn nothing_is_lost_to_programs_of_another_build() {
    if !privileged() {
        return;
    }
    let site = site();
    let mut crowd = Crowd::gather(&site, &program(), 25);
    site.forget_programs();
    crowd.outlives(&site, &program());
}

fn site() -> Site {
    Site::new(&format!("{SSH_DOOR}open_for = \"1h\"\n"))
}

/// A package's files.
struct Unpacked(TempDir);

impl Unpacked {
    fn new(package: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let output = Command::new("dpkg-deb").arg("-x").arg(package).arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self(folder)
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("usr/bin/knock-ctl")
    }

    fn version(&self) -> String {
        let output = Command::new(self.program()).arg("--version").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Those who are in, each with grant and connections, under a filter whose controller is dead.
struct Crowd {
    flows: usize,
    conversations: Conversations,
    grants: Vec<(String, String)>,
}

impl Crowd {
    /// They knock, and make `each` connections, under the filter of a version.
    fn gather(site: &Site, program: &Path, each: u16) -> Self {
        keep_order_on_the_wire();
        let controller = site.attach_of(program, &[]);
        let sources: Vec<IpAddr> = (0..SOURCES).map(source).collect();
        site.make_neighbours(&sources);
        let socket = site.lab.raw_socket(Machine::Client).unwrap();
        for &from in &sources {
            let sequence = [7000, 8000, 9000].map(Knock::Tcp);
            knock_raw(&socket, from, Machine::Server.of_family(from), &sequence, Duration::from_millis(1));
        }
        eventually("all are let in", || site.grants().len() == sources.len());
        let conversations = Conversations::begin(site, &sources, each);
        controller.kill();
        let flows = sources.len() * usize::from(each);
        Self { flows, conversations, grants: site.grants() }
    }

    /// Attaches by a program while they talk and a stranger sends SYNs to the closed port.
    fn outlives(&mut self, site: &Site, program: &Path) {
        let (before, dropped) = (Filtered::of(site), site.counted("no_grant"));
        let mut rounds = 0;
        let sent = hammer(&site.lab, || {
            let mut controller = site.start_of(program, &[]);
            while !controller.says("watching;", Duration::ZERO) {
                self.conversations.talk();
                rounds += 1;
            }
            assert_eq!(controller.count("took over from an earlier controller, without a gap"), 1);
            controller.kill();
        });
        assert!(sent > 1000 && rounds > 0, "{sent} SYNs, {rounds} rounds");
        self.conversations.talk();
        let after = Filtered::of(site);
        assert_ne!(after.program, before.program, "it is another program");
        assert_eq!(after.link, before.link, "in the same link");
        eventually("each SYN, and nothing else, is dropped", || site.counted("no_grant") == dropped + sent);
        assert_eq!(site.status()["tables"]["flows"]["used"], self.flows);
        assert_eq!(site.grants(), self.grants);
        assert!(self.conversations.nobody_else_came());
    }
}

/// What is on the server's interface, as the kernel numbers it.
struct Filtered {
    program: u32,
    link: u32,
}

impl Filtered {
    fn of(site: &Site) -> Self {
        let status: Value = site.status();
        let interface = &status["interfaces"][0];
        assert_eq!(interface["name"], INTERFACE);
        let program = u32::try_from(interface["program_id"].as_u64().unwrap()).unwrap();
        let mut links = loaded_links().filter_map(Result::ok).filter(|link| link.program_id() == program);
        Self { program, link: links.next().unwrap().id() }
    }
}

/// No machine of the lab has these addresses.
fn source(number: u16) -> IpAddr {
    let host = number / 2;
    if number.is_multiple_of(2) {
        Ipv4Addr::new(10, 77, 0, 100 + host as u8).into()
    } else {
        Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, host).into()
    }
}
