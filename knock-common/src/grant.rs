//! Grants: who may reach what, and until when.

use crate::address::Address;
use crate::port::Protocol;
use crate::rules::DoorId;
use crate::time::{Boottime, Deadline};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Grant {
    deadline: u64,
    /// 0: of `port` alone.
    door: DoorId,
    /// Seconds of CLOCK_BOOTTIME at the grant or its last extension.
    granted_at: u32,
    port: u16,
    protocol: u8,
    granted_by: u8,
    /// 1: a connection under it has been seen to live.
    used: u8,
    padding: [u8; 3],
}

/// What a grant opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    Door(DoorId),
    Port(Protocol, u16),
}

impl Grant {
    pub const NONE: Self = Self {
        deadline: 0,
        door: 0,
        granted_at: 0,
        port: 0,
        protocol: 0,
        granted_by: 0,
        used: 0,
        padding: [0; 3],
    };

    /// Whether anything was ever granted here; it may have passed.
    #[inline(always)]
    pub const fn exists(&self) -> bool {
        self.deadline != 0
    }

    #[inline(always)]
    pub const fn deadline(&self) -> Deadline {
        Deadline::from_nanoseconds(self.deadline)
    }

    #[inline(always)]
    pub const fn granted(&self) -> Granted {
        if self.door != 0 {
            Granted::Door(self.door)
        } else if self.protocol == Protocol::Udp as u8 {
            Granted::Port(Protocol::Udp, self.port)
        } else {
            Granted::Port(Protocol::Tcp, self.port)
        }
    }

    pub const fn granted_by(&self) -> GrantedBy {
        GrantedBy::from_number(self.granted_by)
    }

    #[inline(always)]
    pub const fn is_used(&self) -> bool {
        self.used != 0
    }

    #[inline(always)]
    pub const fn granted_at(&self) -> u32 {
        self.granted_at
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
    /// It was valid and lasts longer now. `again`: for the second time within a second.
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
            grant.deadline = 0;
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
    ) -> Change {
        let (door, protocol, port) = match granted {
            Granted::Door(door) => (door, 0, 0),
            Granted::Port(protocol, port) => (0, protocol as u8, port),
        };
        let mut place = None;
        for (index, old) in self.grants.iter().enumerate() {
            let same = old.exists() && old.door == door && old.port == port && old.protocol == protocol;
            if same {
                place = Some((index, true));
            } else if matches!(place, None | Some((_, false))) && old.deadline().passed(now) {
                place = Some((index, false));
            }
        }
        let Some((index, same)) = place else {
            return Change::Full;
        };
        let Some(slot) = self.grants.get_mut(index) else {
            return Change::Full;
        };
        let extends = same && !slot.deadline().passed(now);
        let again = extends && slot.granted_at == now.seconds();
        let deadline = if extends { slot.deadline().later(deadline) } else { deadline };
        *slot = Grant {
            deadline: deadline.nanoseconds(),
            door,
            granted_at: now.seconds(),
            port,
            protocol,
            granted_by: granted_by as u8,
            used: if extends { slot.used } else { 0 },
            padding: [0; 3],
        };
        if extends { Change::Extended { deadline, again } } else { Change::Opened(deadline) }
    }

    /// Ends a valid grant as if its deadline were now. `false`: there was none.
    #[inline(always)]
    pub fn revoke(&mut self, granted: Granted, now: Boottime) -> bool {
        let mut revoked = false;
        for grant in &mut self.grants {
            if grant.granted() == granted && !grant.deadline().passed(now) {
                grant.deadline = now.nanoseconds();
                revoked = true;
            }
        }
        revoked
    }

    /// Notes that a connection under the grant at `index` lives.
    #[inline(always)]
    pub fn mark_used(&mut self, index: usize) {
        if let Some(grant) = self.grants.get_mut(index) {
            grant.used = 1;
        }
    }

    /// How readily the whole entry is given up for a new source, lower first; `None`: never.
    #[inline(always)]
    pub fn eviction_rank(&self, now: Boottime) -> Option<u32> {
        let mut rank = Some(0);
        for grant in &self.grants {
            if grant.deadline().passed(now) {
                continue;
            }
            rank = match rank {
                Some(highest) if !grant.is_used() => Some(highest.max(grant.granted_at.saturating_add(1))),
                _ => None,
            };
        }
        rank
    }
}

const _: () = {
    assert!(size_of::<Grant>() == 24);
    assert!(size_of::<SourceGrants>() == 208);
};

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Address = Address::from_v4([192, 0, 2, 7]);
    const NOW: Boottime = Boottime::from_milliseconds(100_000);
    const LATER: Deadline = Deadline::at(Boottime::from_milliseconds(130_000));

    #[test]
    fn a_ninth_grant_is_refused_until_one_has_passed() {
        let mut grants = SourceGrants::none(SOURCE);
        for door in 1..=8 {
            let change = grants.grant(Granted::Door(door), GrantedBy::Knock, LATER, NOW);
            assert_eq!(change, Change::Opened(LATER));
        }
        assert_eq!(grants.grant(Granted::Door(9), GrantedBy::Knock, LATER, NOW), Change::Full);
        assert!(grants.revoke(Granted::Door(3), NOW));
        assert_eq!(grants.grant(Granted::Door(9), GrantedBy::Knock, LATER, NOW), Change::Opened(LATER));
    }

    #[test]
    fn an_extension_never_shortens_and_reports_a_second_one_in_the_same_second() {
        let mut grants = SourceGrants::none(SOURCE);
        let sooner = Deadline::at(Boottime::from_milliseconds(110_000));
        grants.grant(Granted::Door(1), GrantedBy::Knock, LATER, NOW);
        assert_eq!(
            grants.grant(Granted::Door(1), GrantedBy::Knock, sooner, NOW),
            Change::Extended { deadline: LATER, again: true }
        );
        let next_second = Boottime::from_milliseconds(101_000);
        assert_eq!(
            grants.grant(Granted::Door(1), GrantedBy::Knock, Deadline::FOREVER, next_second),
            Change::Extended { deadline: Deadline::FOREVER, again: false }
        );
    }

    #[test]
    fn revoking_is_idempotent() {
        let mut grants = SourceGrants::none(SOURCE);
        let port = Granted::Port(Protocol::Udp, 53);
        grants.grant(port, GrantedBy::Admin, LATER, NOW);
        assert!(!grants.revoke(Granted::Port(Protocol::Tcp, 53), NOW));
        assert!(grants.revoke(port, NOW));
        assert!(!grants.revoke(port, NOW));
    }

    #[test]
    fn used_grants_are_never_given_up_and_passed_ones_first() {
        let mut grants = SourceGrants::none(SOURCE);
        grants.grant(Granted::Door(1), GrantedBy::Knock, LATER, NOW);
        assert_eq!(grants.eviction_rank(NOW), Some(101));
        assert_eq!(grants.eviction_rank(Boottime::from_milliseconds(130_000)), Some(0));
        grants.mark_used(0);
        assert_eq!(grants.eviction_rank(NOW), None);
    }
}
