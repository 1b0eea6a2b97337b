//! knockd, whose commands add and remove the firewall's rules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use knock_tests::lab::{INTERFACE, Lab, Machine, Process};

use super::{PATIENCE, text};

/// With the door that all defences have.
pub fn start(lab: &Lab, folder: &Path) -> Result<Process> {
    let config = folder.join("knockd.conf");
    fs::write(
        &config,
        format!(
            "[options]\n logfile = {}\n[ssh]\n sequence = 7000,8000,9000\n seq_timeout = 10\n tcpflags = syn\n \
             start_command = iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n cmd_timeout = 30\n \
             stop_command = iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n",
            log(folder).display()
        ),
    )?;
    run(lab, folder, &config)
}

/// Returns once it listens.
pub fn run(lab: &Lab, folder: &Path, config: &Path) -> Result<Process> {
    let pid = folder.join("knockd.pid");
    let words = ["knockd", "--verbose", "-i", INTERFACE, "-c", text(config)?, "-p", text(&pid)?];
    let mut daemon = lab.spawn_in(Machine::Server, &words)?;
    daemon.expect_line("listening on", PATIENCE)?;
    Ok(daemon)
}

pub fn log(folder: &Path) -> PathBuf {
    folder.join("knockd.log")
}
