//! Rules under which somebody who is here now could not come again are not put into force unasked.

use anyhow::{Result, bail};

use crate::datapath::{DatapathError, Maps};
use crate::rules::RuleSet;
use crate::sessions::{Processes, Session};
use crate::sockets::{InboundConnection, inbound};

/// What a change of rules means for those who are here.
pub(super) struct Change<'a> {
    pub(super) rules: &'a RuleSet,
    /// The rules in force, where every interface was filtered by them before.
    pub(super) before: Option<&'a Maps>,
    /// Connections within this machine are filtered too.
    pub(super) on_loopback: bool,
}

impl Change<'_> {
    /// Sessions that people may work by and could not begin again, although they can now.
    pub(super) fn locked_out(&self) -> Result<Vec<Session>> {
        let mut connections = Vec::new();
        for connection in inbound()? {
            if (self.on_loopback || !connection.is_within_this_machine()) && self.shuts_out(&connection)? {
                connections.push(connection);
            }
        }
        if connections.is_empty() {
            return Ok(Vec::new());
        }
        let processes = Processes::read()?;
        let sessions = connections.into_iter().map(|connection| Session::of(connection, &processes));
        Ok(sessions.filter(|session| session.interactive).collect())
    }

    fn shuts_out(&self, connection: &InboundConnection) -> Result<bool, DatapathError> {
        let ends = connection.ends;
        let Some(port) = knock_common::port::Port::tcp(ends.local.1) else {
            return Ok(false);
        };
        if self.rules.lets_in(ends.remote.0.to_ip(), ends.local.0.to_ip(), port) {
            return Ok(false);
        }
        match self.before {
            Some(maps) => maps.lets_in(ends.remote.0, ends.local.0, port),
            None => Ok(true),
        }
    }
}

/// # Errors
/// Names each of the sessions, if there is any.
pub(super) fn refuse(sessions: &[Session]) -> Result<()> {
    let Some(reason) = reason(sessions) else {
        return Ok(());
    };
    bail!("{reason}. Nothing is changed; if that is what you want, say --yes")
}

/// Why a change that locks these sessions out is doubtful; `None`: there are none.
pub(super) fn reason(sessions: &[Session]) -> Option<String> {
    let names: Vec<String> = sessions.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| {
        format!(
            "these rules lock out who is here now: {}. What is connected goes on, but who comes from there can't come \
             again: no door opens the port, it is not public, and the address is not trusted",
            names.join("; ")
        )
    })
}
