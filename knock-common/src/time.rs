//! Points in time on CLOCK_BOOTTIME, the one clock that the kernel program and the controller share.

/// Nanoseconds of CLOCK_BOOTTIME: time since boot, suspend included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Boottime(u64);

impl Boottime {
    #[inline(always)]
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    #[inline(always)]
    pub const fn from_milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds.saturating_mul(1_000_000))
    }

    #[inline(always)]
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub const fn milliseconds(self) -> u64 {
        self.0 / 1_000_000
    }

    #[inline(always)]
    pub const fn seconds(self) -> u32 {
        (self.0 / 1_000_000_000) as u32
    }

    #[inline(always)]
    pub const fn plus_nanoseconds(self, nanoseconds: u64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }
}

/// When something ends: the last instant at which it still holds has passed once `now` reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Deadline(u64);

impl Deadline {
    /// Never begun: passed at every point in time.
    pub const PASSED: Self = Self(0);
    /// Never passes.
    pub const FOREVER: Self = Self(u64::MAX);

    #[inline(always)]
    pub const fn at(time: Boottime) -> Self {
        Self(time.0)
    }

    #[inline(always)]
    pub const fn passed(self, now: Boottime) -> bool {
        self.0 <= now.0
    }

    /// Nanoseconds of CLOCK_BOOTTIME; `u64::MAX` is forever.
    #[inline(always)]
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    #[inline(always)]
    pub const fn later(self, other: Self) -> Self {
        if self.0 > other.0 { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_nanoseconds_milliseconds_and_seconds() {
        let time = Boottime::from_nanoseconds(3_004_005_006);
        assert_eq!((time.nanoseconds(), time.milliseconds(), time.seconds()), (3_004_005_006, 3_004, 3));
        assert_eq!(Boottime::from_milliseconds(3_004).nanoseconds(), 3_004_000_000);
        assert_eq!(Boottime::from_milliseconds(u64::MAX).nanoseconds(), u64::MAX);
        assert_eq!(time.plus_nanoseconds(4).nanoseconds(), 3_004_005_010);
        assert_eq!(time.plus_nanoseconds(u64::MAX).nanoseconds(), u64::MAX);
    }

    #[test]
    fn a_deadline_has_passed_once_it_is_reached() {
        let at = |nanoseconds| Deadline::at(Boottime::from_nanoseconds(nanoseconds));
        let now = Boottime::from_nanoseconds(100);
        assert_eq!([99, 100, 101].map(|deadline| at(deadline).passed(now)), [true, true, false]);
        assert!(Deadline::PASSED.passed(Boottime::from_nanoseconds(0)));
        assert_eq!((at(7).later(at(8)), at(8).later(at(7))), (at(8), at(8)));
        assert_eq!(at(7).nanoseconds(), 7);
        assert_eq!(Deadline::from_nanoseconds(7), at(7));
    }
}
