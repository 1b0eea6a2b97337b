//! Sources that hit one closed port after another.
//!
//! Where the text leaves room, the model reads it so:
//! - Hits are not counted while the source is held; they are while it may not be, and whoever has hit enough ports by then
//!   is held at the next new one.
//! - What says no port is decided by rule 5, before this one; a DHCP answer is not sent to a public port.
//! - The time for the hits ends just before `within`.

use super::parser::Segment;
use super::rules::{Port, Rules};
use super::{Event, EventKind, Memory, standing};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// When the first of `ports` was hit.
    first_ms: u64,
    ports: HashSet<Port>,
    /// `None`: too few ports yet.
    held_until_ms: Option<u64>,
}

pub(super) type Scans = HashMap<IpAddr, Scan>;

impl Scan {
    fn is_held(&self, now_ms: u64) -> bool {
        self.held_until_ms.is_some_and(|until_ms| now_ms < until_ms)
    }
}

/// Sources that are held, whether or not that has an effect.
pub(super) fn held(scans: &Scans, now_ms: u64) -> impl Iterator<Item = IpAddr> {
    scans.iter().filter(move |(_, scan)| scan.is_held(now_ms)).map(|(source, _)| *source)
}

/// Ends the hold of a source; whether there was one.
pub(super) fn release(scans: &mut Scans, now_ms: u64, source: IpAddr) -> bool {
    scans.remove(&source).is_some_and(|scan| scan.is_held(now_ms))
}

/// What a packet ends as that would end as `reason`: the same, unless its source is held.
pub(super) fn hold(
    memory: &Memory,
    rules: &Rules,
    now_ms: u64,
    packet: &Segment,
    reason: &'static str,
) -> &'static str {
    let Some(scanners) = rules.scanners else { return reason };
    let may_be_lost = match reason {
        "knock" | "unlisted" | "no_grant" | "policy_drop" => true,
        "public" => scanners.include_public && rules.is_public(packet.port),
        _ => false,
    };
    let source = packet.source;
    let is_held = memory.scans.get(&source).is_some_and(|scan| scan.is_held(now_ms));
    if may_be_lost && is_held && !standing::is_known(memory, rules, now_ms, source) {
        return "held";
    }
    reason
}

/// Counts a packet that hit a closed port, and tells if that was one too many.
pub(super) fn count(
    memory: &mut Memory,
    rules: &Rules,
    now_ms: u64,
    packet: &Segment,
    reason: &str,
) -> Option<Event> {
    let scanners = rules.scanners?;
    let source = packet.source;
    if !is_hit(rules, packet, reason) {
        return None;
    }
    let is_known = standing::is_known(memory, rules, now_ms, source);
    let fresh = Scan { first_ms: now_ms, ports: HashSet::new(), held_until_ms: None };
    let scan = memory.scans.entry(source).or_insert_with(|| fresh.clone());
    if scan.is_held(now_ms) {
        return None;
    }
    if scan.held_until_ms.is_some() || now_ms - scan.first_ms >= scanners.within_ms {
        *scan = fresh;
    }
    let is_new = scan.ports.insert(packet.port);
    if !is_new || scan.ports.len() < scanners.ports || is_known {
        return None;
    }
    scan.held_until_ms = Some(now_ms.saturating_add(scanners.hold_ms));
    Some(Event { kind: EventKind::SourceHeld, source, door: None })
}

/// Whether a packet that ends as `reason` hits a closed port.
fn is_hit(rules: &Rules, packet: &Segment, reason: &str) -> bool {
    match reason {
        "no_grant" | "policy_drop" => true,
        "knock" | "unlisted" => {
            let opens = packet.opens_connection() || !packet.is_tcp();
            opens && !rules.listeners.contains(&packet.port)
        }
        _ => false,
    }
}
