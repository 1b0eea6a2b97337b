//! Counts what happened to each packet.

use aya_ebpf::programs::XdpContext;
use knock_common::address::Address;
use knock_common::drops::{self, DropKey};
use knock_common::judge::Judgement;
use knock_common::packet::{Content, NoPacket, Packet};
use knock_common::reason::{COUNTED_INTERFACES, REASON_SLOTS, Reason, Verdict};
use knock_common::rules::RuleOption;
use knock_common::tables::Tables;

use crate::maps::{COUNTERS, DROPS, PROTOCOLS};
use crate::verifier::masked;

#[inline(always)]
pub fn count<T: Tables>(
    context: &XdpContext,
    tables: &T,
    parsed: Result<&Packet, NoPacket>,
    judgement: &Judgement,
) {
    count_reason(context, judgement.reason());
    if let Ok(packet) = parsed
        && let Content::Other(protocol) = packet.content()
    {
        count_protocol(protocol);
    }
    if matches!(judgement.decided.verdict(), Verdict::Drop) {
        count_drop(tables, parsed, judgement);
    }
}

#[inline(always)]
pub fn count_reason(context: &XdpContext, reason: Reason) {
    let interface = context.ingress_ifindex() as u32 & (COUNTED_INTERFACES - 1);
    if let Some(counters) = COUNTERS.get_ptr_mut(interface) {
        // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
        let counters = unsafe { &mut *counters };
        if let Some(counter) = counters.get_mut(masked::<{ REASON_SLOTS - 1 }>(reason as usize)) {
            *counter = counter.wrapping_add(1);
        }
    }
}

#[inline(always)]
fn count_protocol(number: u8) {
    if let Some(counters) = PROTOCOLS.get_ptr_mut(0) {
        // SAFETY: as for the counters.
        if let Some(counter) = unsafe { &mut *counters }.get_mut(number as usize) {
            *counter = counter.wrapping_add(1);
        }
    }
}

#[inline(always)]
fn count_drop<T: Tables>(tables: &T, parsed: Result<&Packet, NoPacket>, judgement: &Judgement) {
    let (source, port) = match parsed {
        Ok(packet) => match packet.content() {
            Content::Segment(segment) => (packet.source, Some((segment.protocol, segment.destination_port))),
            _ => (packet.source, None),
        },
        Err(_) => (Address::UNSPECIFIED, None),
    };
    let key = DropKey::new(judgement.decided, port);
    if let Some(record) = DROPS.get_ptr_mut(key.index()) {
        // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
        unsafe { &mut *record }.count(key, source);
    }
    if tables.rules().has(RuleOption::Drops) {
        drops::report(tables, &source, key);
    }
}
