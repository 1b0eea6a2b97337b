//! What is being dropped: a small direct-mapped table per CPU that keeps the ports that are hit most.

use crate::address::Address;
use crate::event::{Event, EventKind};
use crate::port::Protocol;
use crate::reason::Reason;
use crate::tables::Tables;

/// Entries per CPU.
pub const DROP_ENTRIES: u32 = 4096;

/// A [`DropCount`] as it lies in its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DropRecord {
    /// A [`DropKey`]; 0: free.
    key: u32,
    padding: u32,
    count: u64,
    source: Address,
}

/// What a [`DropRecord`] is about: a reason, and a port where there is one. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropKey(u32);

impl DropKey {
    /// `port` is where the packet went, where that is known.
    #[inline(always)]
    pub const fn new(reason: Reason, port: Option<(Protocol, u16)>) -> Self {
        let port = match port {
            Some((protocol, number)) => 1 << 17 | (protocol as u32) << 16 | number as u32,
            None => 0,
        };
        Self(1 << 31 | (reason as u32) << 24 | port)
    }

    /// As an event's `detail` says it.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The reason, and the port where there was one. `None`: no reason of this version.
    pub fn read(self) -> Option<(Reason, Option<(Protocol, u16)>)> {
        let protocol = if self.0 >> 16 & 1 == 1 { Protocol::Udp } else { Protocol::Tcp };
        let port = (self.0 >> 17 & 1 == 1).then_some((protocol, self.0 as u16));
        Some((*Reason::ALL.get(self.0 as usize >> 24 & 0x7f)?, port))
    }

    /// Where in its table the record lies.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        let reason = self.0 >> 24 & 0x7f;
        let protocol = self.0 >> 16 & 1;
        (self.0 & 0xffff ^ reason << 7 ^ protocol << 11) & (DROP_ENTRIES - 1)
    }
}

impl DropRecord {
    /// Counts a packet. A record of another port wears off first, so that what is hit most stays.
    #[inline(always)]
    pub fn count(&mut self, key: DropKey, source: Address) {
        if self.key == key.0 {
            self.count = self.count.wrapping_add(1);
            self.source = source;
        } else if self.count > 1 {
            self.count -= 1;
        } else {
            *self = Self { key: key.0, padding: 0, count: 1, source };
        }
    }

    /// `None`: free.
    pub fn read(&self) -> Option<DropCount> {
        if self.key == 0 {
            return None;
        }
        let (reason, port) = DropKey(self.key).read()?;
        Some(DropCount { reason, port, packets: self.count, last_source: self.source })
    }
}

/// Signals a dropped packet, unless there have been too many of late. `source` is unspecified where it is not known.
// A function of its own in the kernel too: the event would not fit into its caller's stack frame.
#[inline(never)]
pub fn report<T: Tables>(tables: &T, source: &Address, key: DropKey) {
    let mut event = Event::new(EventKind::Dropped, *source, 0, tables.now());
    event.detail = key.0;
    tables.report_in_passing(&event);
}

/// Packets to one port that were dropped for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropCount {
    pub reason: Reason,
    /// `None`: the packet had none.
    pub port: Option<(Protocol, u16)>,
    pub packets: u64,
    pub last_source: Address,
}

const _: () = assert!(size_of::<DropRecord>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: DropRecord = DropRecord { key: 0, padding: 0, count: 0, source: Address::UNSPECIFIED };

    #[test]
    fn a_record_tells_what_it_counted() {
        let mut record = FREE;
        assert_eq!(record.read(), None);
        let last_source = Address::from_v4([192, 0, 2, 1]);
        let port = Some((Protocol::Udp, 22));
        for _ in 0..3 {
            record.count(DropKey::new(Reason::NoGrant, port), last_source);
        }
        assert_eq!(record.read(), Some(DropCount { reason: Reason::NoGrant, port, packets: 3, last_source }));
    }

    #[test]
    fn what_is_hit_most_stays() {
        let mut record = FREE;
        let often = DropKey::new(Reason::NoGrant, Some((Protocol::Tcp, 22)));
        let seldom = DropKey::new(Reason::NoGrant, Some((Protocol::Tcp, 22 + 4096)));
        assert_eq!(often.index(), seldom.index());
        for _ in 0..10 {
            record.count(often, Address::UNSPECIFIED);
        }
        for _ in 0..5 {
            record.count(seldom, Address::UNSPECIFIED);
        }
        assert_eq!(record.read().map(|count| count.port), Some(Some((Protocol::Tcp, 22))));
    }

    #[test]
    fn what_is_hit_no_more_wears_off() {
        let mut record = FREE;
        let before = DropKey::new(Reason::NoGrant, Some((Protocol::Tcp, 22)));
        let behind = DropKey::new(Reason::NoGrant, Some((Protocol::Tcp, 22 + 4096)));
        for _ in 0..3 {
            record.count(before, Address::UNSPECIFIED);
        }
        let packets: Vec<_> = (0..4)
            .filter_map(|_| {
                record.count(behind, Address::UNSPECIFIED);
                record.read().map(|count| (count.port.map(|(_, number)| number), count.packets))
            })
            .collect();
        assert_eq!(packets, [(Some(22), 2), (Some(22), 1), (Some(4118), 1), (Some(4118), 2)]);
    }

    #[test]
    fn ports_protocols_and_reasons_have_places_apart() {
        let index = |reason, protocol, number| DropKey::new(reason, Some((protocol, number))).index();
        let mut places: Vec<u32> =
            (0..DROP_ENTRIES as u16).map(|number| index(Reason::NoGrant, Protocol::Tcp, number)).collect();
        places.sort_unstable();
        assert!(places.iter().copied().eq(0..DROP_ENTRIES));
        let (tcp, reason) = (index(Reason::NoGrant, Protocol::Tcp, 22), Reason::NoGrant as u32);
        assert_eq!(tcp, 22 ^ (reason * 128));
        assert_eq!(index(Reason::NoGrant, Protocol::Udp, 22), tcp ^ 2048);
        assert_eq!(index(Reason::NoGrant, Protocol::Udp, 22 + 2048), tcp);
        assert_eq!(index(Reason::Malformed, Protocol::Tcp, 22), 22 ^ (Reason::Malformed as u32 * 128));
    }

    #[test]
    fn without_a_port_there_is_none() {
        let mut record = FREE;
        record.count(DropKey::new(Reason::Malformed, None), Address::UNSPECIFIED);
        assert_eq!(record.read().map(|count| (count.reason, count.port)), Some((Reason::Malformed, None)));
    }
}
