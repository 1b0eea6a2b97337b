//! What the kernel program tells the controller.

use crate::address::Address;
use crate::rules::DoorId;
use crate::time::Boottime;

/// Kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum EventKind {
    /// An attempt has come one step further; `detail` is its state.
    Stage = 1,
    /// A sequence is complete.
    Open = 2,
    /// A sequence is complete whose door was open to this source already.
    Refresh = 3,
    /// A closing door took this door's grant.
    Close = 4,
    /// A sequence is complete, but its grant can't be stored; `detail` is a [`Refusal`].
    GrantRefused = 5,
    /// A source is held for scanning, until `deadline`; `door` is 0.
    SourceHeld = 6,
    /// A packet was dropped; `detail` is its [`DropKey`](crate::drops::DropKey), `door` is 0.
    Dropped = 7,
}

impl EventKind {
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Stage),
            2 => Some(Self::Open),
            3 => Some(Self::Refresh),
            4 => Some(Self::Close),
            5 => Some(Self::GrantRefused),
            6 => Some(Self::SourceHeld),
            7 => Some(Self::Dropped),
            _ => None,
        }
    }
}

/// Why a grant can't be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Refusal {
    /// The source holds as many grants as one source may.
    SourceFull = 1,
    /// The table of grants is full of valid ones that are in use.
    TableFull = 2,
}

/// One event, as it lies in the ring of completions and in the perf buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Counts the events of one CPU's ring from 1; 0: only in the perf buffer.
    pub serial: u64,
    /// CLOCK_BOOTTIME, nanoseconds.
    pub time: u64,
    /// When the grant or the hold ends, CLOCK_BOOTTIME in nanoseconds; 0: there is none.
    pub deadline: u64,
    pub source: Address,
    pub door: DoorId,
    pub kind: u32,
    pub detail: u32,
    pub padding: u32,
}

impl Event {
    #[inline(always)]
    pub const fn new(kind: EventKind, source: Address, door: DoorId, time: Boottime) -> Self {
        Self {
            serial: 0,
            time: time.nanoseconds(),
            deadline: 0,
            source,
            door,
            kind: kind as u32,
            detail: 0,
            padding: 0,
        }
    }

    /// From the bytes of a perf buffer's sample, which may have padding behind it. `None`: too few.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let [serial, time, deadline, high, low, door_and_kind, detail, ..] = words else {
            return None;
        };
        let halves = |word: &[u8; 8]| {
            let [a, b, c, d, e, f, g, h] = *word;
            (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
        };
        let (door, kind) = halves(door_and_kind);
        let (detail, padding) = halves(detail);
        Some(Self {
            serial: u64::from_ne_bytes(*serial),
            time: u64::from_ne_bytes(*time),
            deadline: u64::from_ne_bytes(*deadline),
            source: Address::from_words(u64::from_ne_bytes(*high), u64::from_ne_bytes(*low)),
            door,
            kind,
            detail,
            padding,
        })
    }

    #[inline(always)]
    pub const fn refuse(&mut self, refusal: Refusal) {
        self.kind = EventKind::GrantRefused as u32;
        self.detail = refusal as u32;
    }
}

/// Completions that one CPU keeps until the controller has read them.
pub const RING_EVENTS: u32 = 1024;

const _: () = assert!(size_of::<Event>() == 56);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_number() {
        let kinds: Vec<_> = (0..=8).map(EventKind::from_number).collect();
        let numbers: Vec<_> = kinds.iter().map(|kind| kind.map(|kind| kind as u32)).collect();
        assert_eq!(numbers, [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(7), None]);
    }

    #[test]
    fn an_event_is_read_from_its_bytes() {
        let mut event = Event {
            serial: 1,
            time: 2,
            deadline: 3,
            source: Address::from_words(4, 5),
            door: 6,
            kind: EventKind::Open as u32,
            detail: 8,
            padding: 0,
        };
        let bytes = |event: &Event| -> Vec<u8> {
            let words = [event.serial, event.time, event.deadline, 4, 5].map(u64::to_ne_bytes);
            let halves = [event.door, event.kind, event.detail, event.padding].map(u32::to_ne_bytes);
            words.iter().flatten().chain(halves.iter().flatten()).copied().collect()
        };
        assert_eq!(Event::from_bytes(&bytes(&event)), Some(event));
        assert_eq!(Event::from_bytes(&[bytes(&event), vec![0; 4]].concat()), Some(event));
        assert_eq!(Event::from_bytes(&bytes(&event)[..55]), None);
        event.refuse(Refusal::TableFull);
        assert_eq!((event.kind, event.detail), (EventKind::GrantRefused as u32, Refusal::TableFull as u32));
    }
}
