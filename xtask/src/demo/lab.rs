//! The three hosts of the demo and the cables between them.

use std::net::Ipv4Addr;
use std::process;

use anyhow::Result;
use knock_lab::Namespace;
use tempfile::TempDir;

/// What the server is known by (RFC 5737: an address for documentation).
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The server's interfaces, one to each of the others.
pub const INTERFACES: [&str; 2] = ["to-stranger", "to-friend"];

/// One server, two hosts that reach it over a cable each.
pub struct Lab {
    pub server: Namespace,
    pub stranger: Namespace,
    pub friend: Namespace,
    /// For the configuration; removed with the lab.
    pub folder: TempDir,
}

impl Lab {
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("knock-demo-").tempdir()?;
        let host = |role: &str| Namespace::new(format!("{}-{role}", unique_prefix(&folder)));
        let lab =
            Self { server: host("server")?, stranger: host("stranger")?, friend: host("friend")?, folder };
        lab.server.ip(&format!("address add {SERVER}/32 dev lo"))?;
        let [to_stranger, to_friend] = INTERFACES;
        lab.connect(&lab.stranger, to_stranger, "198.51.100")?;
        lab.connect(&lab.friend, to_friend, "203.0.113")?;
        Ok(lab)
    }

    /// A cable from `host` to `interface` of the server, which is .1 of the network there; the host is .2.
    fn connect(&self, host: &Namespace, interface: &str, network: &str) -> Result<()> {
        self.server.ip(&format!("link add {interface} type veth peer name eth0 netns {}", host.name()))?;
        self.server.ip(&format!("address add {network}.1/24 dev {interface}"))?;
        self.server.ip(&format!("link set {interface} up"))?;
        host.ip(&format!("address add {network}.2/24 dev eth0"))?;
        host.ip("link set eth0 up")?;
        host.ip(&format!("route add default via {network}.1"))
    }
}

/// The folder's name is random and has no other owner.
fn unique_prefix(folder: &TempDir) -> String {
    let name = folder.path().file_name().and_then(|name| name.to_str());
    name.map_or_else(|| format!("knock-demo-{}", process::id()), str::to_owned)
}
