//! What was there when rules were put into force that wait to be confirmed.

use std::fs;

use knock_common::time::Boottime;
use serde::{Deserialize, Serialize};

use super::{Position, RuntimeDirectory, RuntimeError, read_record, write_record};

/// What tells whether somebody has come in since a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// Nanoseconds of CLOCK_BOOTTIME: the deadline of the change that this is about.
    confirm_by: u64,
    /// Seconds of CLOCK_BOOTTIME.
    pub made_at: u32,
    /// The last completions under the rules before.
    pub completions: Position,
    /// Cookies of the connections that were there.
    pub connections: Vec<u64>,
}

impl ChangeRecord {
    /// Of the change that can be confirmed until `until`.
    pub fn new(until: Boottime, made_at: Boottime, completions: Position, connections: Vec<u64>) -> Self {
        let confirm_by = until.nanoseconds();
        Self { confirm_by, made_at: made_at.seconds(), completions, connections }
    }

    /// `None`: nothing is known of the change that can be confirmed until `until`.
    pub fn load(directory: &RuntimeDirectory, until: Boottime) -> Result<Option<Self>, RuntimeError> {
        let record: Option<Self> = read_record(directory.change_file())?;
        Ok(record.filter(|record| record.confirm_by == until.nanoseconds()))
    }

    pub fn save(&self, directory: &RuntimeDirectory) -> Result<(), RuntimeError> {
        write_record(directory.change_file(), self)
    }

    /// The change waits no more.
    pub fn remove(directory: &RuntimeDirectory) {
        // Left there it fits no other change.
        let _ = fs::remove_file(directory.change_file());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_of_one_change_alone() {
        let folder = tempfile::tempdir().unwrap();
        let directory = RuntimeDirectory(folder.path().to_owned());
        let time = Boottime::from_milliseconds;
        assert_eq!(ChangeRecord::load(&directory, time(9000)).unwrap(), None);
        let position = Position { serials: vec![3, 4] };
        let record = ChangeRecord::new(time(9000), time(1500), position, vec![7, u64::MAX]);
        record.save(&directory).unwrap();
        assert_eq!(record.made_at, 1);
        assert_eq!(ChangeRecord::load(&directory, time(9000)).unwrap(), Some(record));
        assert_eq!(ChangeRecord::load(&directory, time(9001)).unwrap(), None);
        ChangeRecord::remove(&directory);
        assert_eq!(ChangeRecord::load(&directory, time(9000)).unwrap(), None);
    }
}
