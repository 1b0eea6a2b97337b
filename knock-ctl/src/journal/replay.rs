//! From records to the doors that are open.

use std::collections::BTreeMap;

use crate::namespace::NamespaceCookie;

use super::record::{BootId, OpenDoor, Opening, Record, StopDue};

/// The doors that are open by the records so far.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<Opening, State>);

#[derive(Debug)]
struct State {
    stop_due: Option<u64>,
    unstarted: bool,
    stopping: bool,
}

/// A line that is no record; counted from 1.
pub(super) type SkippedLine = usize;

impl Ledger {
    /// Of a journal's content, with the lines that make no sense. What follows the last newline is not looked at.
    pub(super) fn replay(content: &[u8]) -> (Self, Vec<SkippedLine>) {
        let (mut ledger, mut skipped) = (Self::default(), Vec::new());
        let whole_lines = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline);
        let lines = content.get(..whole_lines).filter(|lines| !lines.is_empty());
        for (index, line) in
            lines.into_iter().flat_map(|lines| lines.split(|&byte| byte == b'\n')).enumerate()
        {
            match serde_json::from_slice(line) {
                Ok(record) => ledger.enter(record),
                Err(_) => skipped.push(index + 1),
            }
        }
        (ledger, skipped)
    }

    pub(super) fn enter(&mut self, record: Record) {
        match record {
            Record::Opened { opening, stop_due, announced } => {
                let unstarted = self.0.get(&opening).map_or(announced, |state| state.unstarted);
                self.0.insert(opening, State { stop_due, unstarted, stopping: false });
            }
            Record::Started { opening } => {
                if let Some(state) = self.0.get_mut(&opening) {
                    state.unstarted = false;
                }
            }
            Record::Stopping { opening } => {
                if let Some(state) = self.0.get_mut(&opening) {
                    state.stopping = true;
                }
            }
            Record::Closed { opening } => {
                self.0.remove(&opening);
            }
        }
    }

    /// Forgets what was opened in this boot in another network namespace than `own`; returns how many openings that were.
    pub(super) fn forget_other_namespaces(&mut self, boot_id: &BootId, own: NamespaceCookie) -> usize {
        let before = self.len();
        self.0.retain(|opening, _| {
            opening.boot_id != *boot_id || opening.namespace.is_none_or(|namespace| namespace == own)
        });
        before - self.len()
    }

    pub(super) fn knows(&self, opening: &Opening) -> bool {
        self.0.contains_key(opening)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn open_doors(&self, boot_id: &BootId) -> Vec<OpenDoor> {
        let due = |opening: &Opening, state: &State| match state.stop_due {
            _ if state.stopping || opening.boot_id != *boot_id => StopDue::Now,
            Some(time) => StopDue::At(time),
            None => StopDue::WhenRevoked,
        };
        self.0
            .iter()
            .map(|(opening, state)| OpenDoor {
                opening: opening.clone(),
                unstarted: state.unstarted && opening.boot_id == *boot_id,
                stop: due(opening, state),
            })
            .collect()
    }

    /// The fewest records that say the same.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.0.iter().flat_map(|(opening, state)| {
            let (stop_due, announced) = (state.stop_due, state.unstarted);
            let opened = Record::Opened { opening: opening.clone(), stop_due, announced };
            let stopping = state.stopping.then(|| Record::Stopping { opening: opening.clone() });
            [Some(opened), stopping].into_iter().flatten()
        })
    }
}
