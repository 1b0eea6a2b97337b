//! Grants: who may reach what, and until when.

use crate::address::Address;
use crate::port::Protocol;
use crate::rules::DoorId;
use crate::search::Search;
use crate::time::{Boottime, Deadline};
use crate::word::Word;

#[cfg(test)]
mod tests;

/// Grants that one source may hold.
pub const GRANTS_PER_SOURCE: usize = 8;

/// Who gave a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GrantedBy {
    Knock = 0,
    Admin = 1,
    Approve = 2,
    OneTime = 3,
}

impl GrantedBy {
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Admin,
            2 => Self::Approve,
            3 => Self::OneTime,
            _ => Self::Knock,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Knock => "knock",
            Self::Admin => "admin",
            Self::Approve => "approve",
            Self::OneTime => "one_time",
        }
    }
}

/// One grant: of a door, or of a port that an administrator named.
///
/// In two words, since every source has room for eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Grant {
    /// Nanoseconds of CLOCK_BOOTTIME, but for the lowest bits, which are [`MARKS`].
    deadline_and_marks: u64,
    /// The door, or protocol and port.
    granted: u32,
    /// Seconds of CLOCK_BOOTTIME at the grant or its last extension.
    granted_at: u32,
}

/// Bits that a deadline leaves: it is rounded down by less than they can say.
const MARKS: u64 = 0x3f;
/// A [`GrantedBy`].
const GRANTED_BY: u64 = 0x03;
/// A connection under it has been seen to live.
const USED: u64 = 0x04;
/// That it was extended has been reported, in the second when it was last extended.
const REPORTED: u64 = 0x08;
/// Of a port alone.
const PORT: u64 = 0x10;

/// What a grant opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    Door(DoorId),
    Port(Protocol, u16),
}

impl Granted {
    /// As in a [`Grant`].
    #[inline(always)]
    const fn written(self) -> (u64, u32) {
        match self {
            Self::Door(door) => (0, door),
            Self::Port(protocol, port) => (PORT, (protocol as u32) << 16 | port as u32),
        }
    }
}

impl Grant {
    pub const NONE: Self = Self { deadline_and_marks: 0, granted: 0, granted_at: 0 };

    /// Whether anything was ever granted here; it may have passed.
    #[inline(always)]
    pub const fn exists(&self) -> bool {
        self.deadline_and_marks != 0
    }

    #[inline(always)]
    pub const fn deadline(&self) -> Deadline {
        const FOREVER: u64 = Deadline::FOREVER.nanoseconds() & !MARKS;
        match self.deadline_and_marks & !MARKS {
            FOREVER => Deadline::FOREVER,
            deadline => Deadline::from_nanoseconds(deadline),
        }
    }

    #[inline(always)]
    pub const fn passed(&self, now: Boottime) -> bool {
        Deadline::from_nanoseconds(self.deadline_and_marks & !MARKS).passed(now)
    }

    #[inline(always)]
    pub const fn granted(&self) -> Granted {
        if !self.has(PORT) {
            Granted::Door(self.granted)
        } else if self.granted >> 16 == Protocol::Udp as u32 {
            Granted::Port(Protocol::Udp, self.granted as u16)
        } else {
            Granted::Port(Protocol::Tcp, self.granted as u16)
        }
    }

    pub const fn granted_by(&self) -> GrantedBy {
        GrantedBy::from_number((self.deadline_and_marks & GRANTED_BY) as u8)
    }

    #[inline(always)]
    pub const fn is_used(&self) -> bool {
        self.has(USED)
    }

    #[inline(always)]
    pub const fn granted_at(&self) -> u32 {
        self.granted_at
    }

    #[inline(always)]
    const fn has(&self, mark: u64) -> bool {
        self.deadline_and_marks & mark != 0
    }

    #[inline(always)]
    const fn is_of(&self, granted: Granted) -> bool {
        let (mark, number) = granted.written();
        self.deadline_and_marks & PORT == mark && self.granted == number
    }
}

/// All grants of one source: the value of its entry in the table of grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SourceGrants {
    /// The source again, so that an entry that is reused while it is being read is noticed.
    source: Address,
    grants: [Grant; GRANTS_PER_SOURCE],
}

/// What came of a new grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was none, or it had passed.
    Opened(Deadline),
    /// It was valid and lasts longer now. `again`: an extension within this second was reported before.
    Extended { deadline: Deadline, again: bool },
    /// The source holds [`GRANTS_PER_SOURCE`] valid ones already.
    Full,
}

impl SourceGrants {
    pub const fn none(source: Address) -> Self {
        Self { source, grants: [Grant::NONE; GRANTS_PER_SOURCE] }
    }

    /// Forgets everything, in place.
    #[inline(always)]
    pub fn reset(&mut self, source: &Address) {
        self.source = *source;
        for grant in &mut self.grants {
            grant.deadline_and_marks = 0;
        }
    }

    #[inline(always)]
    pub fn is_of(&self, source: &Address) -> bool {
        self.source.words() == source.words()
    }

    pub const fn source(&self) -> Address {
        self.source
    }

    #[inline(always)]
    pub fn all(&self) -> &[Grant; GRANTS_PER_SOURCE] {
        &self.grants
    }

    /// Grants anew or extends; a deadline never moves closer.
    #[inline(always)]
    pub fn grant(
        &mut self,
        granted: Granted,
        granted_by: GrantedBy,
        deadline: Deadline,
        now: Boottime,
        search: &Search<impl Word>,
    ) -> Change {
        search.begin();
        for (index, old) in self.grants.iter().enumerate() {
            if old.exists() && old.is_of(granted) {
                search.consider(index, 0);
            } else if old.passed(now) {
                search.consider(index, 1);
            }
        }
        let same = search.lowest() == 0;
        let place = search.best().and_then(|index| self.grants.get_mut(index & (GRANTS_PER_SOURCE - 1)));
        let Some(slot) = place else {
            return Change::Full;
        };
        let extends = same && !slot.passed(now);
        let again = extends && slot.has(REPORTED) && slot.granted_at == now.seconds();
        let deadline = if extends { slot.deadline().later(deadline) } else { deadline };
        let kept = if extends { slot.deadline_and_marks & USED | REPORTED } else { 0 };
        let (mark, number) = granted.written();
        *slot = Grant {
            deadline_and_marks: deadline.nanoseconds() & !MARKS | mark | granted_by as u64 | kept,
            granted: number,
            granted_at: now.seconds(),
        };
        let deadline = slot.deadline();
        if extends { Change::Extended { deadline, again } } else { Change::Opened(deadline) }
    }

    /// Ends a valid grant as if its deadline were now. `false`: there was none.
    #[inline(always)]
    pub fn revoke(&mut self, granted: Granted, now: Boottime) -> bool {
        let mut revoked = false;
        for grant in &mut self.grants {
            if grant.is_of(granted) && !grant.passed(now) {
                grant.deadline_and_marks = now.nanoseconds() & !MARKS | grant.deadline_and_marks & MARKS;
                revoked = true;
            }
        }
        revoked
    }

    /// Notes that a connection under the grant at `index` lives.
    #[inline(always)]
    pub fn mark_used(&mut self, index: usize) {
        if let Some(grant) = self.grants.get_mut(index) {
            grant.deadline_and_marks |= USED;
        }
    }

    /// How readily the whole entry is given up for a new source, lower first; `u64::MAX`: never.
    ///
    /// `unfollowed` is as [`crate::frame::Frame::unfollowed`].
    #[inline(always)]
    pub fn eviction_rank(&self, now: Boottime, unfollowed: impl Fn(u64) -> u64) -> u64 {
        let mut rank = 0;
        for grant in &self.grants {
            let own = if grant.passed(now) {
                0
            } else if grant.is_used() {
                u64::MAX
            } else {
                grant.granted_at as u64 + 1
            };
            rank = unfollowed(rank.max(own));
        }
        rank
    }
}

const _: () = {
    assert!(size_of::<Grant>() == 16);
    assert!(size_of::<SourceGrants>() == 144);
};
