//! What lies behind the filter: an OpenSSH server, or where there is none a small TCP server.

mod echo;
mod sshd;

use std::time::Duration;

use anyhow::Result;
use knock_lab::Namespace;

use super::lab::Lab;
use crate::story::Interrupt;
use crate::story::Session;
use crate::workspace::has_program;
use echo::EchoServer;
use sshd::Sshd;

/// The port that the door opens.
pub const PORT: u16 = 22;

/// After this long without an answer a client takes the port for closed.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

pub enum Service {
    Ssh(Sshd),
    Echo(EchoServer),
}

impl Service {
    pub fn start(lab: &Lab) -> Result<Self> {
        if has_program("sshd") && has_program("ssh") && has_program("ssh-keygen") {
            Sshd::start(lab).map(Self::Ssh)
        } else {
            EchoServer::start(lab).map(Self::Echo)
        }
    }

    /// As the timeline calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ssh(_) => "ssh",
            Self::Echo(_) => "the TCP service",
        }
    }

    /// A new connection over which the service has answered; `None` where it doesn't.
    pub fn connect(&self, from: &Namespace, interrupt: &Interrupt) -> Result<Option<Session>> {
        let session = match self {
            Self::Ssh(sshd) => Some(sshd.connect(from)?),
            Self::Echo(server) => server.connect(from)?,
        };
        let Some(mut session) = session else { return Ok(None) };
        Ok(session.answers(interrupt)?.then_some(session))
    }
}
