//! fwknopd, which opens by a single encrypted packet.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use knock_tests::lab::{INTERFACE, Lab, Machine, Process};

use super::{PATIENCE, text};
use crate::programs::output;

/// Where fwknopd looks for its packets.
pub const PORT: u16 = 62_201;

/// A client with the server's keys.
pub struct Spa {
    home: PathBuf,
}

impl Spa {
    /// What sends the packet that opens ssh to an address.
    pub fn knock(&self, lab: &Lab, address: IpAddr) -> Command {
        let server = Machine::Server.v4().to_string();
        let mut client = lab.namespace(Machine::Client).command("fwknop");
        client.env("HOME", &self.home).args(["--access", "tcp/22"]);
        client.args(["--destination", &server, "--allow-ip", &address.to_string()]);
        client
    }
}

pub fn start(lab: &Lab, folder: &Path) -> Result<(Process, Spa)> {
    let mut generate = Command::new("fwknop");
    let keys = output(generate.args(["--key-gen"]).env("HOME", folder))?;
    let keys = String::from_utf8(keys)?;
    let key = |name: &str| {
        let line = keys.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(|key| key.trim().to_owned()).with_context(|| format!("fwknop made no {name}"))
    };
    let keys = [key("KEY_BASE64")?, key("HMAC_KEY_BASE64")?];
    let keys = format!("KEY_BASE64 {}\nHMAC_KEY_BASE64 {}\n", keys[0], keys[1]);
    let (access, config) = (folder.join("access.conf"), folder.join("fwknopd.conf"));
    write_secretly(&access, &format!("SOURCE ANY\nOPEN_PORTS tcp/22\nFW_ACCESS_TIMEOUT 30\n{keys}"))?;
    write_secretly(&folder.join(".fwknoprc"), &format!("[default]\nUSE_HMAC Y\n{keys}"))?;
    let run = text(folder)?;
    write_secretly(&config, &format!("PCAP_INTF {INTERFACE};\nFWKNOP_RUN_DIR {run};\n"))?;
    let script = "exec fwknopd --foreground --config-file \"$1\" --access-file \"$2\" >\"$3\" 2>&1";
    let log = log(folder);
    let words = ["sh", "-c", script, "sh", text(&config)?, text(&access)?, text(&log)?];
    let daemon = lab.spawn_in(Machine::Server, &words)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let said = fs::read_to_string(&log).unwrap_or_default();
        if said.contains("main event loop") {
            return Ok((daemon, Spa { home: folder.to_owned() }));
        }
        if Instant::now() > end {
            bail!("fwknopd does not begin; it said: {said}");
        }
        sleep(Duration::from_millis(20));
    }
}

pub fn log(folder: &Path) -> PathBuf {
    folder.join("fwknopd.log")
}

/// fwknopd refuses what others can read.
fn write_secretly(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
