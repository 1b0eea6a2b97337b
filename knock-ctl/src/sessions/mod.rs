//! Who works on this machine from elsewhere, told by connections and the processes that have them.
//!
//! Environment variables tell it too, but not below sudo or in tmux.

mod processes;

use std::fmt;

use knock_common::address::Address;
use knock_common::port::Port;

pub use processes::{Process, Processes};

use crate::sockets::{InboundConnection, SocketsError, inbound};

/// A connection to this machine, and who has it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub connection: InboundConnection,
    /// `None`: nobody that can be seen.
    pub process: Option<SessionProcess>,
    /// People may work by it: it is on ssh's port, an ssh server has it, or whoever has it serves a terminal.
    pub interactive: bool,
}

/// The process that a session is called after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionProcess {
    pub id: i32,
    pub name: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    #[error("cannot look at the processes of this machine: {0}")]
    Processes(#[from] procfs::ProcError),
}

const SSH: u16 = 22;

/// Programs that let people in: by the beginnings of their names.
const SERVERS: [&str; 2] = ["sshd", "dropbear"];

impl Session {
    /// All that are there.
    pub fn all(processes: &Processes) -> Result<Vec<Self>, SessionsError> {
        Ok(inbound()?.into_iter().map(|connection| Self::of(connection, processes)).collect())
    }

    pub(crate) fn of(connection: InboundConnection, processes: &Processes) -> Self {
        let holders = processes.holders(connection.inode);
        let server = holders.iter().find(|holder| is_server(&holder.name));
        let interactive = connection.ends.local.1 == SSH
            || server.is_some()
            || holders.iter().any(|holder| processes.serves_a_terminal(holder));
        let process = server
            .or(holders.first())
            .map(|process| SessionProcess { id: process.id, name: process.name.clone() });
        Self { connection, process, interactive }
    }

    pub fn remote(&self) -> Address {
        self.connection.ends.remote.0
    }

    /// `None`: port 0, which no connection has.
    pub fn port(&self) -> Option<Port> {
        Port::tcp(self.connection.ends.local.1)
    }
}

fn is_server(name: &str) -> bool {
    SERVERS.iter().any(|server| name.starts_with(server))
}

/// As in "192.0.2.7 on 22/tcp (sshd-session, process 812)".
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}/tcp", self.remote(), self.connection.ends.local.1)?;
        match &self.process {
            Some(SessionProcess { id, name }) => write!(f, " ({name}, process {id})"),
            None => Ok(()),
        }
    }
}

/// The connections from elsewhere by which somebody has started this process: those of the nearest process that it comes from
/// and that has any. Empty: none can be seen, as at a console, from cron, or in tmux, whose server is nobody's child.
pub fn own_connections(
    processes: &Processes,
    id: i32,
    connections: &[InboundConnection],
) -> Vec<InboundConnection> {
    let held_by = |process: &Process| -> Vec<InboundConnection> {
        let is_held = |connection: &&InboundConnection| {
            connection.inode != 0
                && process.sockets.contains(&connection.inode)
                && !connection.is_within_this_machine()
        };
        connections.iter().filter(is_held).copied().collect()
    };
    processes.lineage(id).map(held_by).find(|held| !held.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::processes::tests::process;
    use super::*;
    use crate::sockets::Connection;

    fn connection(remote: &str, port: u16, inode: u32) -> InboundConnection {
        let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
        let ends = Connection { local: (address("192.0.2.1"), port), remote: (address(remote), 40_000) };
        InboundConnection { ends, cookie: u64::from(inode), inode }
    }

    /// A machine where somebody has come in by ssh, become root, and started tmux.
    fn machine() -> Processes {
        Processes::from_list([
            process(1, 0, "systemd", 0, &[]),
            process(100, 1, "sshd", 0, &[1]),
            process(101, 100, "sshd-session", 0, &[7]),
            process(102, 101, "sshd-session", 0, &[7]),
            process(103, 102, "bash", 34_816, &[]),
            process(104, 103, "sudo", 34_816, &[]),
            process(105, 104, "knock-ctl", 34_816, &[]),
            process(200, 1, "tmux: server", 0, &[]),
            process(201, 200, "bash", 34_817, &[]),
            process(202, 201, "knock-ctl", 34_817, &[]),
            process(300, 1, "nginx", 0, &[8, 9]),
            process(400, 1, "ttyd", 0, &[10]),
            process(401, 400, "bash", 34_818, &[]),
        ])
    }

    #[test]
    fn the_connection_is_found_below_sudo_and_not_in_tmux() {
        let session = connection("192.0.2.7", 2222, 7);
        let all = [session, connection("192.0.2.8", 80, 8)];
        assert_eq!(own_connections(&machine(), 105, &all), [session]);
        assert_eq!(own_connections(&machine(), 202, &all), []);
        let from_here = connection("192.0.2.1", 2222, 7);
        assert_eq!(own_connections(&machine(), 105, &[from_here]), []);
    }

    #[test]
    fn what_people_work_by_is_told_from_what_machines_do() {
        let machine = machine();
        let session = |port, inode| Session::of(connection("192.0.2.7", port, inode), &machine);
        let ssh = session(2222, 7);
        assert!(ssh.interactive);
        assert_eq!(ssh.to_string(), "192.0.2.7 on 2222/tcp (sshd-session, process 101)");
        assert!(!session(443, 8).interactive);
        assert!(session(7681, 10).interactive, "it serves a terminal");
        let unknown = session(22, 0);
        assert!(unknown.interactive);
        assert_eq!(unknown.to_string(), "192.0.2.7 on 22/tcp");
    }
}
