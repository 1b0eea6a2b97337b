//! The server on its fresh Debian, and the user's own machine at the other end of a cable.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::{fs, process};

use anyhow::{Context as _, Result};
use knock_lab::{Namespace, OpenSsh};

use super::machine::{Disk, Machine};
use super::terminal::Terminal;
use crate::story::{Background, Interrupt, Session};

/// What the machines are known by (RFC 5737: addresses for documentation).
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const HOME: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

const SSH: u16 = 22;

/// What knockd's users have around it: closed to all that its commands don't let in.
const FIREWALL: &str = "*filter\n:INPUT DROP\n-A INPUT -i lo -j ACCEPT\n\
                        -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\nCOMMIT\n";

const FIREWALL_UNIT: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                             ExecStart=/usr/sbin/iptables-restore /etc/iptables.rules\n";

/// knockd is enabled as its package says, in its own defaults.
const KNOCKD: &str = "START_KNOCKD=1\nKNOCKD_OPTS=\"-i eth0\"\n";

/// Both machines. All of it goes away when dropped.
pub struct Neighbourhood {
    _machine: Machine,
    openssh: OpenSsh,
    home: Namespace,
    _server: Namespace,
}

impl Neighbourhood {
    /// `archive`: of the fresh system; the package lies in root's home there.
    pub fn new(archive: &Path, package: &Path, interrupt: &Interrupt) -> Result<Self> {
        let host = |role: &str| Namespace::new(format!("knock-evening-{}-{role}", process::id()));
        let (server, home) = (host("server")?, host("home")?);
        server.ip(&format!("link add eth0 type veth peer name eth0 netns {}", home.name()))?;
        for (machine, address) in [(&server, SERVER), (&home, HOME)] {
            machine.ip(&format!("address add {address}/24 dev eth0"))?;
            machine.ip("link set eth0 up")?;
        }
        let openssh = OpenSsh::new(&[])?;
        let disk = Disk::unpack(archive)?;
        let name = package.file_name().context("a package without a name")?;
        disk.write(&format!("root/{}", name.to_string_lossy()), fs::read(package)?)?;
        disk.write("root/.ssh/authorized_keys", openssh.authorized_key()?)?;
        disk.write("etc/hosts", format!("127.0.0.1 localhost\n{SERVER} server\n"))?;
        disk.write("etc/iptables.rules", FIREWALL)?;
        disk.write("etc/default/knockd", KNOCKD)?;
        disk.write("etc/systemd/system/firewall.service", FIREWALL_UNIT)?;
        disk.enable("/etc/systemd/system/firewall.service")?;
        disk.enable("/lib/systemd/system/knockd.service")?;
        let machine = Machine::boot(disk, &server, interrupt)?;
        Ok(Self { _machine: machine, openssh, home, _server: server })
    }

    /// A command on the user's own machine.
    pub fn at_home(&self, program: &str) -> process::Command {
        self.home.command(program)
    }

    /// A session on the server with a shell; it ends where ssh does not answer within `patience`, in whole seconds.
    pub fn ssh(&self, patience: Duration) -> Result<Session> {
        let mut ssh = self.openssh.client(&self.home, SocketAddr::from((SERVER, SSH)), patience, "sh");
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = Background::start(&mut ssh)?;
        let (to, from) = (client.0.stdin.take(), client.0.stdout.take());
        Ok(Session::new(to.context("ssh without input")?, from.context("ssh without output")?, Some(client)))
    }

    /// `ssh -t` in a terminal, with a program of the server's in it.
    pub fn ssh_terminal(
        &self,
        program: &str,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<Terminal<'_>> {
        let to = SocketAddr::from((SERVER, SSH));
        let ssh = self.openssh.client_with(&self.home, to, patience, &["RequestTTY=force"], program);
        Terminal::start(&self.home, &ssh, interrupt)
    }
}
