//! What the tests stand on: a lab whose server runs `knock-ctl` and services, and clients that speak with them.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod aim;
mod behind;
mod command_log;
mod connection;
mod controller;
mod foreign_program;
mod hammer;
mod knocks;
mod mode;
mod second_interface;
mod service;
mod ssh;
mod tcp_counters;
mod until;
mod witness;

pub use crate::in_each_mode;
pub use aim::Aim;
pub use behind::{BEHIND, load_ruleset, put_behind_server};
pub use command_log::CommandLog;
pub use connection::{carries_data, connect, connect_as, connect_of, connect_within};
pub use controller::Controller;
pub use foreign_program::ForeignProgram;
pub use hammer::hammer;
pub use knocks::{Knock, keep_order_on_the_wire, knock_raw, stock_knock};
pub use mode::Mode;
pub use second_interface::SecondInterface;
pub use service::{Service, echo_datagrams, udp_socket};
pub use ssh::{SshSession, Sshd};
pub use tcp_counters::TcpCounters;
pub use until::Until;
pub use witness::Witness;

use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::lab::{INTERFACE, Lab, Machine, lateness};
use serde_json::Value;
use tempfile::TempDir;

/// More than anything takes that is going to happen.
pub fn limit() -> Duration {
    lateness(Duration::from_secs(60))
}

/// The door of most tests: knock at 7000, 8000 and 9000 over TCP, and 22/tcp opens.
pub const SSH_DOOR: &str = "[doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n";
pub const SSH_SEQUENCE: &[&str] = &["7000", "8000", "9000"];
pub const SSH: u16 = 22;

/// A lab with a configuration for its server.
pub struct Site {
    pub lab: Lab,
    directory: TempDir,
    inode: u64,
}

impl Site {
    /// On interfaces of one queue, with a configuration.
    pub fn new(config: &str) -> Self {
        Self::over(Lab::new().unwrap(), config)
    }

    pub fn over(lab: Lab, config: &str) -> Self {
        let directory = TempDir::new().unwrap();
        // For those who run the program without being root.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let inode = fs::metadata(lab.namespace(Machine::Server).path()).unwrap().ino();
        let site = Self { lab, directory, inode };
        // The kernel gives an inode again, with what an ended test may have left under its number.
        site.forget();
        site.configure(config);
        site
    }

    pub fn configure(&self, config: &str) {
        fs::write(self.config(), config).unwrap();
        fs::set_permissions(self.config(), Permissions::from_mode(0o600)).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.file("knock.toml")
    }

    /// A file that goes away with the site.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Attaches to the server's interface, and returns once the controller watches. More arguments go to `attach`.
    pub fn attach(&self, arguments: &[&str]) -> Controller {
        self.attach_of(&program(), arguments)
    }

    /// As [`Site::attach`], by a program that need not be the one built beside the test.
    pub fn attach_of(&self, program: &Path, arguments: &[&str]) -> Controller {
        let mut controller = self.start_of(program, arguments);
        controller.expect("watching;");
        controller
    }

    /// As [`Site::attach`], in one mode alone.
    pub fn attach_in(&self, mode: Mode) -> Controller {
        self.attach(&["--mode", mode.name()])
    }

    /// As [`Site::attach`], without waiting.
    pub fn start(&self, arguments: &[&str]) -> Controller {
        self.start_of(&program(), arguments)
    }

    /// As [`Site::attach_of`], without waiting.
    pub fn start_of(&self, program: &Path, arguments: &[&str]) -> Controller {
        let config = self.config();
        let words = [&[text(program), "attach", INTERFACE, "--config", text(&config)], arguments].concat();
        Controller::new(self.lab.spawn_in(Machine::Server, &words).unwrap())
    }

    /// As [`Site::attach`], to the interfaces that the configuration names.
    pub fn attach_as_configured(&self) -> Controller {
        let (program, config) = (program(), self.config());
        let words = [text(&program), "attach", "--config", text(&config)];
        let mut controller = Controller::new(self.lab.spawn_in(Machine::Server, &words).unwrap());
        controller.expect("watching;");
        controller
    }

    /// Runs `knock-ctl` on the server.
    pub fn knock_ctl(&self, arguments: &[&str]) -> Output {
        let program = program();
        let words = [&[text(&program)], arguments].concat();
        self.lab.run_in(Machine::Server, &words).unwrap()
    }

    /// Runs a command that must succeed; returns its standard output.
    pub fn run(&self, machine: Machine, words: &[&str]) -> String {
        let output = self.lab.run_in(machine, words).unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Has a machine get (`add`) or lose (`delete`) an address on its interface.
    pub fn change_address(&self, machine: Machine, what: &str, address: IpAddr) {
        let prefixed = format!("{address}/{}", if address.is_ipv4() { 24 } else { 64 });
        self.run(machine, &["ip", "address", what, &prefixed, "dev", INTERFACE]);
    }

    /// Gives the client more addresses on its interface.
    pub fn add_to_client(&self, addresses: impl Iterator<Item = IpAddr>) {
        let batch = self.file("addresses");
        let lines: String = addresses
            .map(|address| {
                let prefix = if address.is_ipv4() { 24 } else { 64 };
                format!("address add {address}/{prefix} dev {INTERFACE}\n")
            })
            .collect();
        fs::write(&batch, lines).unwrap();
        self.run(Machine::Client, &["ip", "-batch", text(&batch)]);
    }

    /// Nobody answers for these addresses when the server looks for its neighbours: it knows them to be at the client's.
    pub fn make_neighbours(&self, addresses: &[IpAddr]) {
        let mac = Machine::Client.mac().map(|byte| format!("{byte:02x}")).join(":");
        let neighbours: String = addresses
            .iter()
            .map(|address| {
                format!("neighbour replace {address} lladdr {mac} nud permanent dev {INTERFACE}\n")
            })
            .collect();
        let batch = self.file("neighbours");
        fs::write(&batch, neighbours).unwrap();
        self.run(Machine::Server, &["ip", "-batch", text(&batch)]);
    }

    /// What `status --json` says.
    pub fn status(&self) -> Value {
        serde_json::from_slice(&self.knock_ctl(&["status", "--json"]).stdout).unwrap()
    }

    /// Packets so far that had their verdict for a reason.
    pub fn counted(&self, reason: &str) -> u64 {
        self.status()["counters"]["by_reason"][reason].as_u64().unwrap()
    }

    /// (address, door) of each grant that `grants --json` tells of, in order.
    pub fn grants(&self) -> Vec<(String, String)> {
        let listing: Value = serde_json::from_slice(&self.knock_ctl(&["grants", "--json"]).stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let grants = listing["grants"].as_array().unwrap();
        let mut grants: Vec<_> =
            grants.iter().map(|grant| (text(&grant["address"]), text(&grant["door"]))).collect();
        grants.sort();
        grants
    }

    /// What `ip link` says of an XDP program on one of the server's interfaces: "xdp" is native, "xdpgeneric" generic.
    pub fn attached_mode(&self, interface: &str) -> Option<String> {
        let listing = self.run(Machine::Server, &["ip", "-j", "link", "show", "dev", interface]);
        let links: Value = serde_json::from_str(&listing).unwrap();
        let mode = links[0]["xdp"]["mode"].as_u64()?;
        Some(["none", "xdp", "xdpgeneric", "xdpoffload"][mode as usize].to_owned())
    }

    /// Where the filter's pins are.
    pub fn pins(&self) -> PathBuf {
        PathBuf::from(format!("/sys/fs/bpf/knock/net-{}", self.inode))
    }

    /// Where the controller keeps what it needs while the machine is up.
    pub fn runtime_directory(&self) -> PathBuf {
        PathBuf::from(format!("/run/knock/net-{}", self.inode))
    }

    /// The next controller takes the programs for those of another version, and puts its own in their place.
    pub fn forget_programs(&self) {
        fs::remove_file(self.runtime_directory().join("programs.json")).unwrap();
    }

    /// Which doors are open by the controller's account.
    pub fn journal(&self) -> PathBuf {
        PathBuf::from(format!("/var/lib/knock/journal-net-{}", self.inode))
    }

    /// The configuration that was last in force.
    pub fn last_good(&self) -> PathBuf {
        let name = text(&self.config()).trim_start_matches('/').replace('/', "-");
        PathBuf::from(format!("/var/lib/knock/last-good-{name}.json"))
    }

    /// Neither a program nor a pin.
    pub fn is_without_filter(&self) -> bool {
        self.attached_mode(INTERFACE).is_none() && !self.pins().exists()
    }

    fn forget(&self) {
        // Most tests leave only some of these.
        for path in [self.runtime_directory(), self.pins()] {
            let _ = fs::remove_dir_all(path);
        }
        let one_time = PathBuf::from(format!("/var/lib/knock/one-time-net-{}", self.inode));
        for path in [self.journal(), self.journal().with_extension("lock"), one_time, self.last_good()] {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The path of `knock-ctl`, which is built beside the test.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("knock-ctl");
    assert!(program.exists(), "build it first: cargo build -p knock-ctl");
    program
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Looks until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit();
    while !condition() {
        assert!(Instant::now() < end, "not within {:?}: {what}", limit());
        std::thread::sleep(Duration::from_millis(5));
    }
}
