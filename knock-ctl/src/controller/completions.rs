//! Reads the completions that the kernel program keeps, each once, whichever controller is there to do it.

use knock_common::event::{Event, RING_EVENTS};

use crate::datapath::{DatapathError, Maps};
use crate::runtime::Position;

/// Completions since the last look.
pub(crate) struct Batch {
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// Overwritten before they were read.
    pub(crate) lost: u64,
    /// Where the next look begins, once these are dealt with.
    pub(crate) position: Position,
}

/// `position`: where the last look ended.
pub(crate) fn read(maps: &Maps, position: &Position) -> Result<Batch, DatapathError> {
    let serials = maps.serials()?;
    let mut batch = Batch { events: Vec::new(), lost: 0, position: Position { serials: serials.clone() } };
    for (cpu, &last) in (0..).zip(&serials) {
        let read = position.serials.get(cpu as usize).copied().unwrap_or(0);
        // A position beyond the last serial is of tables that are no more.
        let read = if read > last { 0 } else { read };
        let oldest = last.saturating_sub(u64::from(RING_EVENTS));
        batch.lost += oldest.saturating_sub(read);
        for serial in read.max(oldest) + 1..=last {
            match maps.completion(cpu, serial)? {
                Some(event) => batch.events.push(event),
                None => batch.lost += 1,
            }
        }
    }
    batch.events.sort_by_key(|event| event.time);
    Ok(batch)
}
