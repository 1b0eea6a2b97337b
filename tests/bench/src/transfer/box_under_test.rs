//! A server with two open ports behind some guard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;
use aya::programs::XdpMode;
use knock_tests::lab::{INTERFACE, Lab, Machine};
use tempfile::TempDir;

use crate::defence::{KnockCtl, restore};
use crate::programs::{Action, Empty};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Nothing,
    EmptyProgram,
    KnockCtl,
    Iptables,
}

/// Gone with its lab.
pub struct BoxUnderTest {
    _empty: Option<Empty>,
    _attached: Option<KnockCtl>,
    _folder: TempDir,
    /// One for each of the open ports.
    pub listeners: [TcpListener; 2],
    lab: Lab,
}

const OPEN: [u16; 2] = [80, 81];

const CONFIG: &str = "[filter]\npolicy = \"drop\"\npublic = [\"80-81/tcp\"]\n\
                      [doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n";

const IPTABLES: &str = "*filter
:INPUT DROP
:FORWARD DROP
:OUTPUT ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p tcp --dport 80:81 -j ACCEPT
COMMIT
";

impl Guard {
    pub const ALL: [Self; 4] = [Self::Nothing, Self::EmptyProgram, Self::KnockCtl, Self::Iptables];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::EmptyProgram => "an XDP program that passes everything",
            Self::KnockCtl => "knock-ctl",
            Self::Iptables => "iptables, with connection tracking",
        }
    }
}

impl BoxUnderTest {
    /// The lab's server, over IPv4.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

    /// # Errors
    /// When the guard can't be put in place.
    pub fn new(guard: Guard) -> Result<Self> {
        let lab = Lab::new()?;
        let listen = |port| lab.enter(Machine::Server, || TcpListener::bind(address(port)));
        let [sink, echo] = OPEN.map(listen);
        let folder = TempDir::new()?;
        let (mut empty, mut attached) = (None, None);
        match guard {
            Guard::Nothing => {}
            Guard::EmptyProgram => {
                let mut program = Empty::load(Action::Pass)?;
                lab.enter(Machine::Server, || program.attach(INTERFACE, XdpMode::Driver))??;
                empty = Some(program);
            }
            Guard::KnockCtl => attached = Some(KnockCtl::attach(&lab, folder.path(), CONFIG)?),
            Guard::Iptables => restore(&lab, "iptables-restore", IPTABLES)?,
        }
        let listeners = [sink??, echo??];
        Ok(Self { _empty: empty, _attached: attached, _folder: folder, listeners, lab })
    }

    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Of one of the open ports.
    pub fn address(&self, which: usize) -> SocketAddr {
        address(OPEN[which])
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(BoxUnderTest::ADDRESS), port)
}
