//! Tells the controller what happened.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::programs::XdpContext;
use knock_common::event::{Event, EventKind, RING_EVENTS};
use knock_common::rules::DoorId;

use crate::maps::{BUDGET, COMPLETIONS, EVENTS, OPENINGS, SERIALS};

/// Stage events that one CPU sends in a second.
const STAGES_PER_SECOND: u64 = 64;

/// What one CPU has sent of late, and what it left out.
#[repr(C)]
pub struct Budget {
    /// Seconds of CLOCK_BOOTTIME.
    second: u64,
    /// Stage events sent in that second.
    stages: u64,
    /// Events left out since the maps were made.
    suppressed: u64,
}

/// Keeps the event in this CPU's ring and signals it.
#[inline(always)]
pub fn keep_and_signal(context: &XdpContext, event: &mut Event) {
    if event.kind == EventKind::Open as u32 {
        count_opening(event.door);
    }
    let Some(serial) = SERIALS.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
    unsafe {
        *serial = (*serial).wrapping_add(1);
        event.serial = *serial;
    }
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let index = cpu.wrapping_mul(RING_EVENTS).wrapping_add(event.serial as u32 & (RING_EVENTS - 1));
    let event: &Event = event;
    // A failure means more CPUs than the ring was made for; the signal below still arrives.
    let _ = COMPLETIONS.set(index, event, 0);
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

/// Signals a step of an attempt, within this CPU's budget.
#[inline(always)]
pub fn signal_stage(context: &XdpContext, event: &Event) {
    let Some(budget) = BUDGET.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
    let budget = unsafe { &mut *budget };
    let second = event.time / 1_000_000_000;
    if budget.second != second {
        budget.second = second;
        budget.stages = 0;
    }
    if budget.stages >= STAGES_PER_SECOND {
        budget.suppressed = budget.suppressed.wrapping_add(1);
        return;
    }
    budget.stages += 1;
    EVENTS.output(context, event, 0);
}

#[inline(always)]
pub fn count_suppressed() {
    if let Some(budget) = BUDGET.get_ptr_mut(0) {
        // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
        let budget = unsafe { &mut *budget };
        budget.suppressed = budget.suppressed.wrapping_add(1);
    }
}
