//! CLOCK_BOOTTIME, which the kernel program reads too.

use knock_common::time::Boottime;
use nix::time::{ClockId, clock_gettime};

pub fn boottime() -> Boottime {
    // It can't fail: every kernel that runs XDP has this clock.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or((0, 0), |time| (time.tv_sec(), time.tv_nsec()));
    Boottime::from_nanoseconds(time.0 as u64 * 1_000_000_000 + time.1 as u64)
}
