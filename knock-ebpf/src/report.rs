//! Tells the controller what happened.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use knock_common::event::{Event, EventKind, RING_EVENTS};
use knock_common::rules::DoorId;
use knock_common::tables::FRAGMENTS_PER_SECOND;
use knock_common::time::Boottime;

use crate::maps::{BUDGET, COMPLETIONS, EVENTS, OPENINGS, SERIALS};

/// Events that need not be kept which one CPU sends in a second.
const EVENTS_IN_PASSING_PER_SECOND: u32 = 64;

/// Dropped packets of which one CPU tells in a second: they take nothing of what others may send.
const DROPS_PER_SECOND: u32 = 16;

/// Probes that one CPU holds up in a second: a sixteenth of its time.
const PROBES_PER_SECOND: u32 = 50_000;

/// What one CPU has sent of late, what it let pass, and what it left out.
#[repr(C)]
pub struct Budget {
    events: Allowance,
    fragments: Allowance,
    probes: Allowance,
    drops: Allowance,
    /// Events left out since the maps were made.
    suppressed: u64,
}

/// Keeps the event in this CPU's ring and signals it.
#[inline(always)]
pub fn keep_and_signal(context: &impl EbpfContext, event: &mut Event) {
    if event.kind == EventKind::Open as u32 {
        count_opening(event.door);
    }
    let Some(serial) = SERIALS.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
    let next = unsafe { (*serial).wrapping_add(1) };
    event.serial = next;
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let index = cpu.wrapping_mul(RING_EVENTS).wrapping_add(event.serial as u32 & (RING_EVENTS - 1));
    let event: &Event = event;
    // A failure means more CPUs than the ring was made for; the signal below still arrives.
    let _ = COMPLETIONS.set(index, event, 0);
    // Behind the event: the controller takes what the serial counts to be there.
    // SAFETY: as above.
    unsafe { serial.write_volatile(next) };
    EVENTS.output(context, event, 0);
}

/// Counts an opening of a door.
#[inline(always)]
fn count_opening(door: DoorId) {
    match OPENINGS.get_ptr_mut(door) {
        // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
        Some(count) => unsafe { *count = (*count).wrapping_add(1) },
        None => {
            // Fails only where there are more doors than rules have room for.
            let _ = OPENINGS.insert(door, 1, 0);
        }
    }
}

/// So much in a second.
#[repr(C)]
struct Allowance {
    /// Of CLOCK_BOOTTIME.
    second: u32,
    /// In that second.
    taken: u32,
}

impl Allowance {
    #[inline(always)]
    fn take(&mut self, second: u32, limit: u32) -> bool {
        if self.second != second {
            self.second = second;
            self.taken = 0;
        }
        if self.taken >= limit {
            return false;
        }
        self.taken += 1;
        true
    }
}

#[inline(always)]
fn budget() -> Option<&'static mut Budget> {
    // SAFETY: the value is this CPU's own, the program is not interrupted by itself, and no caller holds on to the reference.
    BUDGET.get_ptr_mut(0).map(|budget| unsafe { &mut *budget })
}

/// Signals what need not be kept, within this CPU's budget.
#[inline(always)]
pub fn signal_in_passing(context: &impl EbpfContext, event: &Event) {
    let Some(budget) = budget() else {
        return;
    };
    let second = Boottime::from_nanoseconds(event.time).seconds();
    let is_taken = if event.kind == EventKind::Dropped as u32 {
        budget.drops.take(second, DROPS_PER_SECOND)
    } else {
        budget.events.take(second, EVENTS_IN_PASSING_PER_SECOND)
    };
    if is_taken {
        EVENTS.output(context, event, 0);
    } else {
        budget.suppressed = budget.suppressed.wrapping_add(1);
    }
}

/// Whether this CPU may let one more fragment of an unknown source pass.
#[inline(always)]
pub fn take_fragment(now: Boottime) -> bool {
    match budget() {
        Some(budget) => budget.fragments.take(now.seconds(), FRAGMENTS_PER_SECOND),
        None => false,
    }
}

/// Whether this CPU may hold up one more probe.
#[inline(always)]
pub fn take_probe(now: Boottime) -> bool {
    match budget() {
        Some(budget) => budget.probes.take(now.seconds(), PROBES_PER_SECOND),
        None => false,
    }
}

#[inline(always)]
pub fn count_suppressed() {
    if let Some(budget) = budget() {
        budget.suppressed = budget.suppressed.wrapping_add(1);
    }
}
