//! A small network of namespaces: a server, a client and a stranger on one wire.
//!
//! The server sees both others through one interface, as a machine on the internet does. Everything goes away with the
//! [`Lab`]: processes, interfaces, namespaces.

mod flood;
mod gate;
mod lateness;
mod process;
mod raw_socket;
#[cfg(test)]
mod tests;
mod turn;
mod watchdog;

pub use flood::{Flood, Forgery, Volley};
pub use gate::{equipped_with, packages, privileged, with_kernel_program};
pub use lateness::lateness;
pub use process::Process;
pub use raw_socket::RawSocket;

use crate::packet::{DESTINATION_MAC, SOURCE_MAC};
use anyhow::{Context, Result, ensure};
use knock_lab::Namespace;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use turn::Turn;
use watchdog::Watchdog;

/// The one interface of each machine.
pub const INTERFACE: &str = "eth0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    Server,
    Client,
    Stranger,
}

/// The network. The machines' interfaces hang on a bridge, which floods like a hub.
#[derive(Debug)]
pub struct Lab {
    machines: [Namespace; 3],
    wire: Namespace,
    _watchdog: Watchdog,
    _turn: Turn,
}

impl Machine {
    const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Stranger];

    pub const fn v4(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, self.number()))
    }

    pub const fn v6(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, self.number() as u16))
    }

    /// Its address of the same family as `other`.
    pub fn of_family(self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() { self.v4() } else { self.v6() }
    }

    /// The server's is the destination, the client's the source of every frame that [`crate::packet::Frame`] builds.
    pub fn mac(self) -> [u8; 6] {
        match self {
            Self::Server => DESTINATION_MAC,
            Self::Client => SOURCE_MAC,
            Self::Stranger => [0x02, 0, 0, 0, 0, 0x03],
        }
    }

    /// Its port of the hub, by name.
    pub fn port(self) -> &'static str {
        self.name()
    }

    const fn number(self) -> u8 {
        match self {
            Self::Server => 1,
            Self::Client => 2,
            Self::Stranger => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Stranger => "stranger",
        }
    }
}

impl Lab {
    /// A network whose interfaces have one queue.
    ///
    /// # Errors
    /// When a namespace or an interface can't be made, or the machines don't reach each other.
    pub fn new() -> Result<Self> {
        Self::with_queues(1)
    }

    /// A network whose interfaces have `queues` receive and transmit queues each.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn with_queues(queues: u32) -> Result<Self> {
        Self::build(queues, Turn::shared(), watchdog::LIMIT)
    }

    /// As [`Lab::new`], while no other test has a lab.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn alone() -> Result<Self> {
        Self::build(1, Turn::alone(), watchdog::LIMIT)
    }

    /// As [`Lab::new`], for something that is over within `limit`; else the process ends.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn lasting(limit: Duration) -> Result<Self> {
        Self::build(1, Turn::shared(), limit)
    }

    /// Runs a command to its end on a machine; the output is captured.
    ///
    /// # Errors
    /// When the command can't be started. Its failure is in the output.
    pub fn run_in(&self, machine: Machine, words: &[&str]) -> Result<Output> {
        self.command(machine, words).output().with_context(|| format!("running {words:?}"))
    }

    /// Starts a command on a machine; it ends with its [`Process`], and at the latest with the lab.
    ///
    /// # Errors
    /// When the command can't be started.
    pub fn spawn_in(&self, machine: Machine, words: &[&str]) -> Result<Process> {
        Process::spawn(self.command(machine, words))
    }

    /// Runs `action` in a thread that lives on a machine: sockets it opens belong there, also after it has ended.
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub fn enter<T: Send>(&self, machine: Machine, action: impl FnOnce() -> T + Send) -> Result<T> {
        self.namespace(machine).enter(action)
    }

    /// A socket that sends and receives whole frames on a machine's interface.
    ///
    /// # Errors
    /// When the socket can't be opened.
    pub fn raw_socket(&self, machine: Machine) -> Result<RawSocket> {
        self.enter(machine, || RawSocket::open(INTERFACE))?
    }

    pub fn namespace(&self, machine: Machine) -> &Namespace {
        &self.machines[usize::from(machine.number()) - 1]
    }

    /// Takes a machine's cable out of the hub, or puts it back.
    ///
    /// # Errors
    /// When the wire can't be set so.
    pub fn set_plugged(&self, machine: Machine, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.wire.ip(&format!("link set {} {state}", machine.port()))
    }

    /// Where the machines' ports of the hub are.
    pub fn wire(&self) -> &Namespace {
        &self.wire
    }

    /// From now on VLAN tags arrive as bytes of the frame, as from a card that leaves them there; else an XDP program
    /// does not see the outer one.
    ///
    /// # Errors
    /// When the wire can't be set so.
    pub fn keep_tags_in_frames(&self) -> Result<()> {
        for machine in Machine::ALL {
            let off = ["tx-vlan-offload", "off", "tx-vlan-stag-hw-insert", "off"];
            let mut ethtool = self.wire.command("ethtool");
            let output =
                ethtool.args(["-K", machine.name()]).args(off).output().context("running ethtool")?;
            ensure!(output.status.success(), "{ethtool:?}: {output:?}");
        }
        Ok(())
    }

    /// From now on each flow meets the server on a CPU of its own choice, by the hash of its addresses and ports, as with a
    /// card of many queues; else a frame is handled on the CPU that sends it.
    ///
    /// # Errors
    /// When the wire can't be set so.
    pub fn spread_flows_over_cpus(&self) -> Result<()> {
        let cpus = std::thread::available_parallelism()?.get().min(32);
        let mask = (1u64 << cpus) - 1;
        let script = format!(
            "mount -t sysfs sysfs /sys && for queue in /sys/class/net/{}/queues/rx-*; do echo {mask:x} > $queue/rps_cpus; done",
            Machine::Client.name()
        );
        let mut spread = self.wire.command("unshare");
        let output = spread.args(["--mount", "sh", "-ec", &script]).output().context("running unshare")?;
        ensure!(output.status.success(), "{spread:?}: {output:?}");
        Ok(())
    }

    fn build(queues: u32, turn: Turn, limit: Duration) -> Result<Self> {
        let id = format!("knock-{:08x}", fastrand::u32(..));
        let wire = Namespace::new(format!("{id}-wire"))?;
        // The names are taken one by one: what was made before a failure is dropped with it.
        let [server, client, stranger] =
            Machine::ALL.map(|machine| Namespace::new(format!("{id}-{}", machine.name())));
        let machines = [server?, client?, stranger?];
        let lab = Self { machines, wire, _watchdog: Watchdog::start(limit), _turn: turn };
        lab.lay_wire(queues)?;
        lab.wait_until_usable().context("the machines of the lab don't reach each other")?;
        Ok(lab)
    }

    fn command(&self, machine: Machine, words: &[&str]) -> Command {
        let mut command = self.namespace(machine).command(words[0]);
        command.args(&words[1..]);
        command
    }

    fn lay_wire(&self, queues: u32) -> Result<()> {
        let wire = &self.wire;
        wire.ip("link add hub type bridge ageing_time 0 mcast_snooping 0 stp_state 0 forward_delay 0")?;
        wire.enter(let_bridges_pass_everything)??;
        wire.ip("link set hub up")?;
        for machine in Machine::ALL {
            let namespace = self.namespace(machine);
            let (port, name) = (machine.name(), namespace.name());
            let mac = machine.mac().map(|byte| format!("{byte:02x}")).join(":");
            wire.ip(&format!(
                "link add {port} numrxqueues {queues} numtxqueues {queues} type veth \
                 peer name {INTERFACE} netns {name} address {mac} numrxqueues {queues} numtxqueues {queues}"
            ))?;
            wire.ip(&format!("link set {port} master hub up"))?;
            namespace.ip(&format!("link set {INTERFACE} up"))?;
            namespace.ip(&format!("address add {}/24 dev {INTERFACE}", machine.v4()))?;
            namespace.ip(&format!("address add {}/64 dev {INTERFACE} nodad", machine.v6()))?;
        }
        Ok(())
    }

    /// A connection from each machine to the server over each family; the kernel itself does the waiting.
    fn wait_until_usable(&self) -> Result<()> {
        for address in [Machine::Server.v4(), Machine::Server.v6()] {
            let listener =
                self.enter(Machine::Server, || TcpListener::bind(SocketAddr::new(address, 0)))??;
            let to = listener.local_addr()?;
            for machine in [Machine::Client, Machine::Stranger] {
                self.enter(machine, || TcpStream::connect_timeout(&to, Duration::from_secs(10)))??;
            }
        }
        Ok(())
    }
}

/// Where the kernel's firewall looks into bridged frames, it drops what lies about itself.
fn let_bridges_pass_everything() -> Result<()> {
    for family in ["ip", "ip6", "arp"] {
        let path = format!("/proc/sys/net/bridge/bridge-nf-call-{family}tables");
        if Path::new(&path).exists() {
            fs::write(&path, "0").with_context(|| format!("writing {path}"))?;
        }
    }
    Ok(())
}
