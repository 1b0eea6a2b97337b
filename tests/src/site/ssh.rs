//! Sessions with an OpenSSH server on the server.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::lab::{Machine, Process};
use knock_lab::OpenSsh;

use super::{Site, connect, eventually, limit};

/// An SSH server on the server, in whose sessions commands run as root.
pub struct Sshd {
    openssh: OpenSsh,
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
        let server = Machine::Server.v4();
        let openssh = OpenSsh::new(&[SocketAddr::new(server, port)]).unwrap();
        let process = Process::spawn(openssh.server(site.lab.namespace(Machine::Server))).unwrap();
        eventually("sshd listens", || connect(&site.lab, Machine::Server, server, port).is_accepted());
        Self { openssh, port, _process: process }
    }

    /// Logs in from a machine.
    #[track_caller]
    pub fn session(&self, site: &Site, from: Machine, to: IpAddr) -> SshSession {
        let to = SocketAddr::new(to, self.port);
        let mut ssh = self.openssh.client(site.lab.namespace(from), to, limit(), "sh");
        let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
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
