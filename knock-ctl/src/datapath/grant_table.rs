//! Grants, and the connections that are left of them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use aya::maps::MapError;
use knock_common::address::Address;
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::grant::{Change, Granted, GrantedBy, SourceGrants};
use knock_common::rules::DoorId;
use knock_common::search::Search;
use knock_common::source::SourceIdentity;
use knock_common::tables::TableFull;
use knock_common::time::{Boottime, Deadline};

use super::DatapathError;
use super::maps::Maps;
use super::pod::Shared;

/// How often it is looked whether a grant that was ended has stayed so.
const REVOKE_LOOKS: u32 = 4;

impl Maps {
    /// All sources with grants, passed ones among them.
    pub fn all_grants(&self) -> Result<Vec<SourceGrants>, DatapathError> {
        let mut grants = Vec::new();
        for entry in self.grants.iter() {
            let (_, value) = entry.map_err(DatapathError::map("GRANTS"))?;
            grants.push(value.0);
        }
        Ok(grants)
    }

    pub fn grants_of(&self, source: &Address) -> Result<Option<SourceGrants>, DatapathError> {
        match self.grants.get(&Shared(*source), 0) {
            Ok(grants) => Ok(Some(grants.0)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(DatapathError::map("GRANTS")(error)),
        }
    }

    /// Grants for an administrator or a controller's decision.
    pub fn grant(
        &mut self,
        source: &Address,
        granted: Granted,
        granted_by: GrantedBy,
        deadline: Deadline,
        now: Boottime,
    ) -> Result<Result<Change, TableFull>, DatapathError> {
        let existing = self.grants_of(source)?;
        let is_new = existing.is_none();
        let mut grants = existing.unwrap_or(SourceGrants::none(*source));
        let change = grants.grant(granted, granted_by, deadline, now, &Search::<AtomicU64>::default());
        let mut stored = self.put_grants(grants)?;
        if stored.is_err() {
            if self.give_up_one(source, now)? {
                stored = self.put_grants(grants)?;
            }
        } else if is_new && let Err(error) = self.note_source(source) {
            // Nothing is granted on an error.
            self.revoke(source, |held| held == granted, now)?;
            return Err(error);
        }
        Ok(stored.map(|()| change))
    }

    /// A grant of a door, with its count of connections (0: no limit). Nothing is granted on an error.
    pub fn grant_door(
        &mut self,
        source: &Address,
        door: DoorId,
        connections: u32,
        granted_by: GrantedBy,
        deadline: Deadline,
        now: Boottime,
    ) -> Result<Result<Change, TableFull>, DatapathError> {
        let granted = Granted::Door(door);
        let change = self.grant(source, granted, granted_by, deadline, now)?;
        if connections != 0 && matches!(change, Ok(Change::Opened(_) | Change::Extended { .. })) {
            let key = ConnectionsKey { source: *source, door, padding: 0 };
            if let Err(error) = self.allow_connections(key, connections) {
                // Without a count the grant would let no connection in.
                self.revoke(source, |held| held == granted, now)?;
                return Err(error);
            }
        }
        Ok(change)
    }

    /// Makes room for `successor` by removing a source whose grants have all passed. `false`: there is none.
    fn give_up_one(&mut self, successor: &Address, now: Boottime) -> Result<bool, DatapathError> {
        let passed = |grants: &SourceGrants| grants.all().iter().all(|grant| grant.passed(now));
        for candidate in self.all_grants()?.iter().filter(|grants| passed(grants)) {
            let source = candidate.source();
            // All were read one after the other: it may have knocked again meanwhile.
            if !self.grants_of(&source)?.is_some_and(|grants| passed(&grants)) {
                continue;
            }
            self.grants.remove(&Shared(source)).map_err(DatapathError::map("GRANTS"))?;
            if !self.replace_source(&source, successor)? {
                self.note_source(successor)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Ends grants of `source`: those that `which` picks. Returns what was ended.
    pub fn revoke(
        &mut self,
        source: &Address,
        which: impl Fn(Granted) -> bool,
        now: Boottime,
    ) -> Result<Vec<Granted>, DatapathError> {
        let mut ended = Vec::new();
        // The program replaces entries too, and what it had read before may be back by the next look.
        for _ in 0..REVOKE_LOOKS {
            let Some(mut grants) = self.grants_of(source)? else {
                break;
            };
            let valid: Vec<Granted> = grants
                .all()
                .iter()
                .filter(|grant| !grant.passed(now))
                .map(|grant| grant.granted())
                .filter(|granted| which(*granted))
                .collect();
            if valid.is_empty() {
                break;
            }
            for granted in valid {
                grants.revoke(granted, now);
                if !ended.contains(&granted) {
                    ended.push(granted);
                }
            }
            // Replacing an entry that is there needs no room.
            let _ = self.put_grants(grants)?;
        }
        Ok(ended)
    }

    fn put_grants(&mut self, grants: SourceGrants) -> Result<Result<(), TableFull>, DatapathError> {
        let mark = SourceIdentity::of(&self.control()?.hash_key, &grants.source()).mark() as usize;
        if let Some(marks) = self.granted.elements().get(mark / 8) {
            // Before the program can miss the grant. The system call below orders the two.
            marks[mark % 8].store(1, Relaxed);
        }
        match self.grants.insert(Shared(grants.source()), Shared(grants), 0) {
            Ok(()) => Ok(Ok(())),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::E2BIG) => {
                Ok(Err(TableFull))
            }
            Err(error) => Err(DatapathError::map("GRANTS")(error)),
        }
    }

    /// Allows `limit` connections under a grant that is made outside the kernel program.
    pub fn allow_connections(&mut self, key: ConnectionsKey, limit: u32) -> Result<(), DatapathError> {
        self.connections
            .insert(Shared(key), Shared(Connections::new(limit)), 0)
            .map_err(DatapathError::map("CONNECTIONS"))
    }

    pub fn connections(&self, key: ConnectionsKey) -> Option<Connections> {
        self.connections.get(&Shared(key), 0).ok().map(|connections| connections.0)
    }
}
