//! The processes of this machine: who begot whom, who has which sockets, and who has a terminal.

use std::collections::HashMap;

use procfs::ProcResult;
use procfs::process::{FDTarget, all_processes};

/// Each by its number.
#[derive(Clone, Debug, Default)]
pub struct Processes(HashMap<i32, Process>);

/// One process, as far as it lets itself be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: i32,
    pub parent: i32,
    /// The first 15 bytes of its program's name.
    pub name: String,
    /// The device number of its controlling terminal; 0: it has none.
    pub terminal: i32,
    /// Inodes of its sockets, of each the lower 32 bits.
    pub sockets: Vec<u32>,
}

impl Processes {
    /// Those that exist now.
    pub fn read() -> ProcResult<Self> {
        // Processes end while they are looked at.
        let read = all_processes()?.filter_map(Result::ok).filter_map(|process| look_at(&process).ok());
        Ok(Self::from_list(read))
    }

    pub(super) fn from_list(processes: impl IntoIterator<Item = Process>) -> Self {
        Self(processes.into_iter().map(|process| (process.id, process)).collect())
    }

    /// A process and those that it comes from, itself first.
    pub fn lineage(&self, id: i32) -> impl Iterator<Item = &Process> {
        // Numbers are given out again: what looks like a circle would otherwise have no end.
        std::iter::successors(self.0.get(&id), |process| self.0.get(&process.parent)).take(self.0.len())
    }

    /// Those that have the socket with this inode, in the order of their numbers.
    pub fn holders(&self, inode: u32) -> Vec<&Process> {
        let mut holders: Vec<&Process> =
            self.0.values().filter(|process| inode != 0 && process.sockets.contains(&inode)).collect();
        holders.sort_by_key(|process| process.id);
        holders
    }

    /// Whether a process that comes from this one works on another terminal than this one does.
    pub fn serves_a_terminal(&self, holder: &Process) -> bool {
        let with_terminal = self.0.values().filter(|process| process.terminal != 0);
        with_terminal
            .filter(|process| process.terminal != holder.terminal)
            .any(|process| self.lineage(process.id).skip(1).any(|ancestor| ancestor.id == holder.id))
    }
}

fn look_at(process: &procfs::process::Process) -> ProcResult<Process> {
    let stat = process.stat()?;
    let sockets = process.fd().map_or_else(
        |_| Vec::new(),
        |descriptors| {
            let inode = |target| match target {
                FDTarget::Socket(inode) => Some(inode as u32),
                _ => None,
            };
            descriptors.filter_map(|descriptor| inode(descriptor.ok()?.target)).collect()
        },
    );
    Ok(Process { id: stat.pid, parent: stat.ppid, name: stat.comm, terminal: stat.tty_nr, sockets })
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use nix::sys::stat::fstat;

    use super::*;

    pub(in crate::sessions) fn process(
        id: i32,
        parent: i32,
        name: &str,
        terminal: i32,
        sockets: &[u32],
    ) -> Process {
        Process { id, parent, name: name.to_owned(), terminal, sockets: sockets.to_vec() }
    }

    #[test]
    fn this_process_is_found_with_its_parent_and_its_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = fstat(listener.as_fd()).unwrap().st_ino as u32;
        let processes = Processes::read().unwrap();
        let own = std::process::id() as i32;
        let holders: Vec<i32> = processes.holders(inode).iter().map(|process| process.id).collect();
        assert_eq!(holders, [own]);
        let lineage: Vec<i32> = processes.lineage(own).map(|process| process.id).take(2).collect();
        assert_eq!(lineage, [own, nix::unistd::getppid().as_raw()]);
        assert!(processes.holders(0).is_empty());
    }

    #[test]
    fn a_terminal_of_its_own_is_told_from_one_that_was_inherited() {
        let processes = Processes::from_list([
            process(1, 0, "init", 0, &[]),
            process(10, 1, "telnetd", 0, &[5]),
            process(11, 10, "login", 34_816, &[]),
            process(12, 11, "bash", 34_816, &[]),
            process(20, 12, "webserver", 34_816, &[6]),
            process(21, 20, "worker", 34_816, &[7]),
        ]);
        let serves = |inode| processes.serves_a_terminal(processes.holders(inode)[0]);
        assert!(serves(5), "the shell comes from it");
        assert!(!serves(6), "it was started from that shell");
        assert!(!serves(7));
    }

    #[test]
    fn a_circle_has_an_end() {
        let processes = Processes::from_list([process(2, 3, "a", 0, &[]), process(3, 2, "b", 0, &[])]);
        assert_eq!(processes.lineage(2).count(), 2);
    }
}
