//! An OpenSSH server for the length of the demo.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use knock_lab::{Namespace, OpenSsh};

use super::{CONNECT_LIMIT, PORT};
use crate::demo::lab::{Lab, SERVER};
use crate::story::Background;
use crate::story::Session;

pub struct Sshd {
    openssh: OpenSsh,
    address: SocketAddr,
    _server: Background,
}

impl Sshd {
    pub fn start(lab: &Lab) -> Result<Self> {
        let address = SocketAddr::from((SERVER, PORT));
        let openssh = OpenSsh::new(&[address])?;
        let server = Background::start(openssh.server(&lab.server).stdin(Stdio::null()))?;
        Ok(Self { openssh, address, _server: server })
    }

    /// Starts a client that repeats there what it is told here.
    pub fn connect(&self, from: &Namespace) -> Result<Session> {
        let mut ssh = self.openssh.client(from, self.address, CONNECT_LIMIT, "cat");
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = Background::start(&mut ssh)?;
        let (to, from) = (client.0.stdin.take(), client.0.stdout.take());
        Ok(Session::new(to.context("ssh without input")?, from.context("ssh without output")?, Some(client)))
    }
}
