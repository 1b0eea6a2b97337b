//! The list of sources with grants, in which the program looks for one to give up when the table is full.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use aya::maps::MapError;
use knock_common::address::Address;
use knock_common::lock::{LOCK_LIFE, TABLE_LOCK};

use super::DatapathError;
use super::maps::Maps;
use super::pod::Shared;
use crate::clock::boottime;

/// bpf(2): an element that is there already is left alone.
const BPF_NOEXIST: u64 = 1;

/// Between two tries to get the lock, which the program holds for a microsecond or so.
const PAUSE: Duration = Duration::from_micros(50);

impl Maps {
    /// Notes a source that is new in the table.
    pub(super) fn note_source(&mut self, source: &Address) -> Result<(), DatapathError> {
        self.lock_table()?;
        let noted = self.note_at_cursor(source);
        // It is gone where somebody has taken it from a controller that stood still.
        let _ = self.locks.remove(&Shared(TABLE_LOCK));
        noted
    }

    /// Puts a source in the place of another. `false`: that has none.
    pub(super) fn replace_source(&mut self, old: &Address, new: &Address) -> Result<bool, DatapathError> {
        let place = self.grant_sources.iter().position(|place| place.is_ok_and(|place| place.0 == *old));
        match place {
            Some(place) => self.set_source(place as u32, new).map(|()| true),
            None => Ok(false),
        }
    }

    fn note_at_cursor(&mut self, source: &Address) -> Result<(), DatapathError> {
        let cursor = self.grant_cursor.get(&0, 0).map_err(DatapathError::map("GRANT_CURSOR"))?;
        if cursor < self.sizes().grants {
            self.set_source(cursor, source)?;
            return self.grant_cursor.set(0, cursor + 1, 0).map_err(DatapathError::map("GRANT_CURSOR"));
        }
        // The table was full once. As there is room now, some place's source has gone.
        let there: HashSet<Address> = self.all_grants()?.iter().map(|grants| grants.source()).collect();
        let is_free =
            |place: Result<Shared<Address>, MapError>| place.is_ok_and(|place| !there.contains(&place.0));
        let place = self.grant_sources.iter().position(is_free);
        match place {
            Some(place) => self.set_source(place as u32, source),
            None => Ok(()),
        }
    }

    fn set_source(&mut self, place: u32, source: &Address) -> Result<(), DatapathError> {
        self.grant_sources.set(place, Shared(*source), 0).map_err(DatapathError::map("GRANT_SOURCES"))
    }

    /// Waits for the lock; takes it from somebody who has held it for longer than anybody does.
    fn lock_table(&mut self) -> Result<(), DatapathError> {
        let key = Shared(TABLE_LOCK);
        loop {
            let now = boottime().nanoseconds();
            match self.locks.insert(key, now, BPF_NOEXIST) {
                Ok(()) => return Ok(()),
                Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EEXIST) => {
                }
                Err(error) => return Err(DatapathError::map("LOCKS")(error)),
            }
            if self.locks.get(&key, 0).is_ok_and(|since| now.saturating_sub(since) > LOCK_LIFE) {
                let _ = self.locks.remove(&key);
            }
            thread::sleep(PAUSE);
        }
    }
}
