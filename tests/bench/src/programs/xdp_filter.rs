//! xdp-filter of xdp-tools.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use knock_lab::Namespace;
use serde_json::Value;

use super::output;

/// It drops what goes to one TCP port. Gone with its interface, or with its machine where that is its own.
pub struct XdpFilter {
    _machine: Namespace,
    program: u64,
}

impl XdpFilter {
    /// On a machine of its own.
    ///
    /// # Errors
    /// Where xdp-filter, ip or bpftool are not installed, among others.
    pub fn load(port: u16) -> Result<Self> {
        let machine = Namespace::new(format!("knock-{:08x}", fastrand::u32(..)))?;
        machine.ip("link add eth0 type veth peer name peer")?;
        for interface in ["eth0", "peer"] {
            machine.ip(&format!("link set {interface} up"))?;
        }
        Self::attach(&machine, "eth0", port)?;
        let links = output(machine.command("ip").args(["-j", "link", "show", "dev", "eth0"]))?;
        let links: Value = serde_json::from_slice(&links)?;
        let program = links[0]["xdp"]["prog"]["id"].as_u64().context("xdp-filter is not on its interface")?;
        Ok(Self { _machine: machine, program })
    }

    /// On an interface of some machine.
    ///
    /// # Errors
    /// Where xdp-filter is not installed, among others.
    pub fn attach(machine: &Namespace, interface: &str, port: u16) -> Result<()> {
        output(machine.command("xdp-filter").args(["load", interface]))?;
        let port = port.to_string();
        output(machine.command("xdp-filter").args(["port", &port, "-p", "tcp", "-m", "dst"]))?;
        Ok(())
    }

    /// Nanoseconds of a run.
    ///
    /// # Errors
    /// When the kernel can't run it over such a frame.
    pub fn cost(&self, frame: &[u8], runs: u32) -> Result<f64> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), frame)?;
        let (id, runs) = (self.program.to_string(), runs.to_string());
        let mut bpftool = Command::new("bpftool");
        bpftool.args(["--json", "prog", "run", "id", &id, "repeat", &runs, "data_in"]).arg(file.path());
        let run: Value = serde_json::from_slice(&output(&mut bpftool)?)?;
        run["duration"].as_f64().context("bpftool names no duration")
    }
}
