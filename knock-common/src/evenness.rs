//! Answers to probes of closed ports take equally long, whatever the rules say of the port.
//!
//! The kernel refuses what nobody listens for, at a knock port as elsewhere. What the rules have to do before it gets there
//! differs from port to port, so that such packets go on only when a time has passed in which all of it is done.

use crate::packet::Segment;
use crate::port::Protocol;
use crate::reason::Reason;
use crate::rules::PortEntry;
use crate::tables::Tables;
use crate::time::Boottime;
use crate::word::Word;

/// Nanoseconds that a probe takes: more than any way through the rules does.
pub const PROBE_TIME: u64 = 1_000;

/// Whether the kernel seems to be going to refuse the packet, whose time is measured from now on.
#[inline(always)]
pub(crate) fn begin<T: Tables>(tables: &T, segment: &Segment, entry: PortEntry) -> bool {
    let opens = matches!(segment.protocol, Protocol::Udp) || segment.opens_connection();
    let is_probe = opens
        && !entry.is(PortEntry::CLOSED)
        && !tables.has_listener(segment.protocol, segment.destination_port);
    if is_probe {
        tables.probe().store(tables.now().nanoseconds());
    }
    is_probe
}

/// It is an answer to a socket that is connected, and so no listener.
#[inline(always)]
pub(crate) fn end<T: Tables>(tables: &T) {
    tables.probe().store(0);
}

/// When the packet that was judged last, for this reason, was taken for a probe. `None`: it goes on at once.
#[inline(always)]
pub fn probed_at<T: Tables>(tables: &T, reason: Reason) -> Option<Boottime> {
    match tables.probe().load() {
        0 => None,
        probed_at if matches!(reason, Reason::Knock | Reason::Unlisted) => {
            Some(Boottime::from_nanoseconds(probed_at))
        }
        _ => None,
    }
}
