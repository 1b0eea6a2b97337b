//! Holds probes up until they have taken as long as any.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use knock_common::evenness::PROBE_TIME;
use knock_common::time::Boottime;

use crate::report;
use crate::tables::clock;

/// The clock is read at most so often: the verifier wants an end. Reading it takes some 20 ns.
const LOOKS: u32 = 128;

/// Nanoseconds at random on top, a power of two less one: looks at the clock are some time apart, and would else end at a point
/// that depends on when they began.
const UNEVENNESS: u32 = 511;

/// Returns [`PROBE_TIME`] after `probed_at`; at once where this CPU has spent its time for that.
// Not inlined: the verifier examines the loop once.
#[inline(never)]
pub fn wait(probed_at: Boottime) {
    if !report::take_probe(probed_at) {
        return;
    }
    // SAFETY: the helper has no preconditions.
    let until =
        probed_at.nanoseconds() + PROBE_TIME + u64::from(unsafe { bpf_get_prandom_u32() } & UNEVENNESS);
    for _ in 0..LOOKS {
        if clock().nanoseconds() >= until {
            return;
        }
    }
}
