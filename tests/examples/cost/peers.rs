//! What there is to compare with: a program that does nothing, and xdp-filter.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::programs::{TestRun, TestRunOptions, Xdp};
use knock_lab::Namespace;
use knock_tests::assembly::{instruction, xdp_object};
use serde_json::Value;

/// Passes every packet.
pub struct Empty {
    ebpf: Ebpf,
}

impl Empty {
    pub fn load() -> Result<Self> {
        const XDP_PASS: i32 = 2;
        let code = [instruction(0xb7, 0, 0, 0, XDP_PASS), instruction(0x95, 0, 0, 0, 0)];
        let mut empty = Self { ebpf: Ebpf::load(&xdp_object("empty", &code)?)? };
        empty.program()?.load()?;
        Ok(empty)
    }

    /// Nanoseconds of a run.
    pub fn cost(&mut self, frame: &[u8], repeat: u32) -> Result<u32> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        Ok(self.program()?.test_run(options)?.duration.as_nanos() as u32)
    }

    fn program(&mut self) -> Result<&mut Xdp> {
        Ok(self.ebpf.program_mut("empty").context("the program is not in its object")?.try_into()?)
    }
}

/// xdp-filter of xdp-tools, which drops what goes to one TCP port. Gone with its interface.
pub struct XdpFilter {
    _machine: Namespace,
    program: u64,
}

impl XdpFilter {
    /// # Errors
    /// Where xdp-filter, ip or bpftool are not installed, among others.
    pub fn load(port: u16) -> Result<Self> {
        let machine = Namespace::new(format!("knock-{:08x}", fastrand::u32(..)))?;
        machine.ip("link add eth0 type veth peer name peer")?;
        for interface in ["eth0", "peer"] {
            machine.ip(&format!("link set {interface} up"))?;
        }
        output(machine.command("xdp-filter").args(["load", "eth0"]))?;
        output(machine.command("xdp-filter").args(["port", &port.to_string(), "-p", "tcp", "-m", "dst"]))?;
        let links = output(machine.command("ip").args(["-j", "link", "show", "dev", "eth0"]))?;
        let links: Value = serde_json::from_slice(&links)?;
        let program = links[0]["xdp"]["prog"]["id"].as_u64().context("xdp-filter is not on its interface")?;
        Ok(Self { _machine: machine, program })
    }

    /// Nanoseconds of a run.
    pub fn cost(&self, frame: &[u8], repeat: u32) -> Result<u32> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), frame)?;
        let (id, repeat) = (self.program.to_string(), repeat.to_string());
        let mut bpftool = Command::new("bpftool");
        bpftool.args(["--json", "prog", "run", "id", &id, "repeat", &repeat, "data_in"]).arg(file.path());
        let run: Value = serde_json::from_slice(&output(&mut bpftool)?)?;
        Ok(run["duration"].as_u64().context("bpftool names no duration")? as u32)
    }
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}
