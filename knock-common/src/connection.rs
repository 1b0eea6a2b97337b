//! Counting the connections of a grant that allows only so many.

use crate::address::Address;
use crate::flow::{FlowIdentity, HALF_OPEN_LIFE};
use crate::rules::DoorId;
use crate::time::Boottime;

/// Half-open connections that one grant may have at a time; more wait for their SYN's retransmission.
pub const HALF_OPEN_MAX: usize = 16;

/// Whose connections are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ConnectionsKey {
    pub source: Address,
    pub door: DoorId,
    pub padding: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct HalfOpen {
    flow: u32,
    /// Milliseconds of CLOCK_BOOTTIME, which last 49 days; 0: free.
    deadline: u32,
}

/// Tokens of one grant: spent by connections that live, lent to those that are half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Connections {
    limit: u32,
    spent: u32,
    half_open: [HalfOpen; HALF_OPEN_MAX],
}

impl Connections {
    pub const fn new(limit: u32) -> Self {
        Self { limit, spent: 0, half_open: [HalfOpen { flow: 0, deadline: 0 }; HALF_OPEN_MAX] }
    }

    /// Counts anew, in place.
    #[inline(always)]
    pub fn reset(&mut self, limit: u32) {
        self.limit = limit;
        self.spent = 0;
        for half_open in &mut self.half_open {
            half_open.deadline = 0;
        }
    }

    /// Lends a token to a new connection; one that has a token keeps it for as long again. `false`: none is left.
    #[inline(always)]
    pub fn lend(&mut self, flow: FlowIdentity, now: Boottime) -> bool {
        let milliseconds = now.milliseconds() as u32;
        let deadline = match milliseconds.wrapping_add(HALF_OPEN_LIFE as u32) {
            0 => 1,
            deadline => deadline,
        };
        let mut lent: u32 = 0;
        let mut place = None;
        for (index, half_open) in self.half_open.iter_mut().enumerate() {
            if half_open.is_live(milliseconds) {
                if half_open.flow == flow.short() {
                    half_open.deadline = deadline;
                    return true;
                }
                lent += 1;
            } else {
                place = Some(index);
            }
        }
        if self.spent.saturating_add(lent) >= self.limit {
            return false;
        }
        let Some(half_open) = place.and_then(|index| self.half_open.get_mut(index)) else {
            return false;
        };
        *half_open = HalfOpen { flow: flow.short(), deadline };
        true
    }

    /// Notes that a half-open connection lives: its token is spent. `false`: it had none, or it was given back.
    #[inline(always)]
    pub fn spend(&mut self, flow: FlowIdentity, now: Boottime) -> bool {
        let milliseconds = now.milliseconds() as u32;
        for half_open in &mut self.half_open {
            if half_open.is_live(milliseconds) && half_open.flow == flow.short() {
                half_open.deadline = 0;
                self.spent = self.spent.saturating_add(1);
                return true;
            }
        }
        false
    }

    /// Connections that would still be let in.
    pub fn left(&self, now: Boottime) -> u32 {
        let milliseconds = now.milliseconds() as u32;
        let lent = self.half_open.iter().filter(|half_open| half_open.is_live(milliseconds)).count();
        self.limit.saturating_sub(self.spent).saturating_sub(lent as u32)
    }
}

impl HalfOpen {
    #[inline(always)]
    const fn is_live(&self, now: u32) -> bool {
        let left = self.deadline.wrapping_sub(now);
        self.deadline != 0 && left != 0 && left <= HALF_OPEN_LIFE as u32
    }
}

const _: () = {
    assert!(size_of::<ConnectionsKey>() == 24);
    assert!(size_of::<Connections>() == 136);
};
