//! OpenSSH between a client and the server, with keys that are thrown away afterwards.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use knock_tests::lab::{Machine, Process};

use super::{Site, connect, eventually, text};

/// An SSH server on the server, in whose sessions commands run as root.
pub struct Sshd {
    client_key: PathBuf,
    port: u16,
    _process: Process,
}

/// A shell at the other end of a connection. The connection ends when it is dropped.
pub struct SshSession {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sshd {
    pub fn start(site: &Site, port: u16) -> Self {
        // Its unprivileged part wants this empty folder. It stays: others may be using it.
        fs::create_dir_all("/run/sshd").unwrap();
        let (host_key, client_key) = (site.file("host_key"), site.file("client_key"));
        for key in [&host_key, &client_key] {
            let words = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", text(key)];
            assert!(Command::new("ssh-keygen").args(words).status().unwrap().success());
        }
        let config = site.file("sshd_config");
        fs::write(&config, configuration(port, &host_key, &client_key)).unwrap();
        let words = ["/usr/sbin/sshd", "-D", "-e", "-f", text(&config)];
        let process = site.lab.spawn_in(Machine::Server, &words).unwrap();
        eventually("sshd listens", || {
            connect(&site.lab, Machine::Server, Machine::Server.v4(), port).is_accepted()
        });
        Self { client_key, port, _process: process }
    }

    /// Logs in from a machine.
    #[track_caller]
    pub fn session(&self, site: &Site, from: Machine, to: IpAddr) -> SshSession {
        let mut ssh = Command::new("nsenter");
        ssh.arg(format!("--net={}", site.lab.namespace_path(from))).args(["--", "ssh", "-F", "/dev/null"]);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=QUIET",
            "ConnectTimeout=10",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg("-i").arg(&self.client_key).args(["-p", &self.port.to_string()]);
        ssh.args([&format!("root@{to}"), "sh"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = ssh.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut session = SshSession { child, input, output };
        assert_eq!(session.run("true"), (0, String::new()), "the session is there");
        session
    }
}

impl SshSession {
    /// Runs a command in the session; returns its exit status and what it said, on stdout and stderr.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> (i32, String) {
        const END: &str = "that was all: ";

        writeln!(self.input, "({command}) </dev/null 2>&1; status=$?; echo; echo '{END}'$status").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the session has ended: {said}");
            if let Some(status) = line.strip_prefix(END) {
                said.pop();
                return (status.trim().parse().unwrap(), said);
            }
            said += &line;
        }
    }
}

impl Drop for SshSession {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(port: u16, host_key: &Path, client_key: &Path) -> String {
    format!(
        "Port {port}\nHostKey {}\nAuthorizedKeysFile {}.pub\nPidFile none\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\nPrintLastLog no\n",
        host_key.display(),
        client_key.display(),
    )
}
