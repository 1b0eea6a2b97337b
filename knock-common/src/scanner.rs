//! Sources that hit many different closed ports are held.

use crate::access::is_known;
use crate::address::Address;
use crate::event::{Event, EventKind};
use crate::packet::{Packet, Segment};
use crate::port::Protocol;
use crate::reason::Reason;
use crate::rules::RuleOption;
use crate::tables::Tables;

/// What is kept of a source that hit closed ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Scan {
    /// Milliseconds of CLOCK_BOOTTIME: when the first of `ports` was hit.
    pub started: u64,
    /// Milliseconds of CLOCK_BOOTTIME: until then the source is held; 0: it is not.
    pub held_until: u64,
    /// Different closed ports hit since `started`.
    pub ports: u32,
    /// The first of them: its protocol's number above the port's 16 bits.
    pub first: u32,
}

impl Scan {
    const NONE: Self = Self { started: 0, held_until: 0, ports: 0, first: 0 };

    #[inline(always)]
    fn is_under_way(&self) -> bool {
        self.ports != 0 && self.held_until == 0
    }
}

/// A closed port that a source hit, other than the first of its scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ScannedKey {
    pub source: Address,
    pub port: u32,
    pub protocol: u32,
}

/// What becomes of a packet that was decided by `reason`, where scanners are held: the same, or [`Reason::Held`]. Counts the
/// port if it is closed.
// A function of its own in the kernel too: a BPF stack frame has 512 bytes.
#[inline(never)]
pub(crate) fn hold<T: Tables>(tables: &T, packet: &Packet, segment: &Segment, reason: Reason) -> Reason {
    let now = tables.now();
    // Before Linux 6.3 nothing may be read that was not written, not even what an `Option` would have held.
    let scan = tables.scan(&packet.source).unwrap_or(Scan::NONE);
    if scan.held_until > now.milliseconds() {
        return if is_known(tables, &packet.source) { reason } else { Reason::Held };
    }
    if is_closed(tables, segment, reason) {
        count(tables, packet, segment, scan);
    }
    reason
}

/// Whether the packet was sent to a port that is closed to its source: dropped, or, where it opens a connection, without
/// anybody who listens.
#[inline(always)]
fn is_closed<T: Tables>(tables: &T, segment: &Segment, reason: Reason) -> bool {
    match reason {
        Reason::NoGrant | Reason::PolicyDrop => true,
        Reason::Knock | Reason::Unlisted => {
            (matches!(segment.protocol, Protocol::Udp) || segment.opens_connection())
                && !tables.has_listener(segment.protocol, segment.destination_port)
        }
        _ => false,
    }
}

#[inline(always)]
fn count<T: Tables>(tables: &T, packet: &Packet, segment: &Segment, mut scan: Scan) {
    let now = tables.now().milliseconds();
    let limits = tables.rules().scanners;
    let (number, protocol) = (segment.destination_port as u32, segment.protocol as u32);
    let port = protocol << 16 | number;
    if scan.is_under_way() && now.saturating_sub(scan.started) < limits.within {
        let key = ScannedKey { source: packet.source, port: number, protocol };
        // Most sources hit one port, and then take no room among those that are noted.
        if port == scan.first || !tables.note_scanned(&key, scan.started) {
            return;
        }
    } else {
        scan = Scan { started: now, first: port, ..Scan::NONE };
    }
    scan.ports = scan.ports.saturating_add(1);
    if scan.ports >= limits.ports && !is_known(tables, &packet.source) {
        scan.held_until = now.saturating_add(limits.hold);
        let mut event = Event::new(EventKind::SourceHeld, packet.source, 0, tables.now());
        event.deadline = event.time.saturating_add(limits.hold.wrapping_mul(1_000_000));
        tables.report_in_passing(&event);
    }
    tables.store_scan(&packet.source, &scan);
}

/// Whether a packet to a public port comes from a source that is held from there too.
#[inline(always)]
pub(crate) fn is_held_from_public<T: Tables>(tables: &T, source: &Address) -> bool {
    tables.rules().has(RuleOption::HoldFromPublic)
        && matches!(tables.scan(source), Some(scan) if scan.held_until > tables.now().milliseconds())
        && !is_known(tables, source)
}

const _: () = {
    assert!(size_of::<Scan>() == 24);
    assert!(size_of::<ScannedKey>() == 24);
};
