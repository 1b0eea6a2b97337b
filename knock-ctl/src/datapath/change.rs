//! Which rules hold, also while a change of them waits to be confirmed.

use std::time::Duration;

use knock_common::rules::{Control, NO_RULES, Slot};
use knock_common::time::Boottime;

use super::DatapathError;
use super::maps::Maps;
use crate::clock::boottime;

/// A change of rules that nobody has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// From then on it does not hold.
    pub until: Boottime,
    /// The rules that hold instead; `None`: everything passes.
    pub fallback: Option<Slot>,
}

impl Unconfirmed {
    /// A change that may be confirmed for `wait` from now on.
    pub fn for_time(wait: Duration, fallback: Option<Slot>) -> Self {
        let nanoseconds = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        Self { until: boottime().plus_nanoseconds(nanoseconds), fallback }
    }

    /// How long it can still be confirmed; `None`: it can't any more.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.until.nanoseconds().saturating_sub(boottime().nanoseconds());
        (left > 0).then(|| Duration::from_nanos(left))
    }

    pub(super) fn of(control: &Control) -> Option<Self> {
        let fallback = (control.fallback < NO_RULES).then_some(control.fallback & 1);
        let until = Boottime::from_nanoseconds(control.confirm_by);
        (control.confirm_by != 0).then_some(Self { until, fallback })
    }

    pub(super) fn fallback_number(&self) -> u32 {
        self.fallback.unwrap_or(NO_RULES)
    }
}

impl Maps {
    /// The rules by which packets are judged now; `None`: by none, as a change was not confirmed where there were no rules before.
    pub fn slot_in_force(&self) -> Result<Option<Slot>, DatapathError> {
        Ok(self.control()?.slot_in_force(boottime))
    }

    /// Where the next rules will be written.
    pub fn idle_slot(&self) -> Result<Slot, DatapathError> {
        let control = self.control()?;
        Ok(control.slot_in_force(boottime).unwrap_or(control.active_slot & 1) ^ 1)
    }

    /// The change that waits to be confirmed, or waited in vain.
    pub fn unconfirmed(&self) -> Result<Option<Unconfirmed>, DatapathError> {
        Ok(Unconfirmed::of(&self.control()?))
    }

    /// Lets the change that waits hold for good. `false`: none waits, or its time is up. Only for whoever has the controller's
    /// lock.
    pub fn confirm(&mut self) -> Result<bool, DatapathError> {
        let control = self.control()?;
        let waits = Unconfirmed::of(&control).is_some_and(|change| change.time_left().is_some());
        if waits {
            self.set_control(Control { confirm_by: 0, fallback: NO_RULES, ..control })?;
        }
        Ok(waits)
    }

    /// Lets the rules that hold since a change was not confirmed in time do so for good. Without any, all stays as it is: only
    /// new rules end that. Only for whoever has the controller's lock.
    pub fn settle(&mut self) -> Result<(), DatapathError> {
        let control = self.control()?;
        let Some(Unconfirmed { fallback: Some(slot), .. }) =
            Unconfirmed::of(&control).filter(|change| change.time_left().is_none())
        else {
            return Ok(());
        };
        // In two steps: whoever reads the one value during the other's write finds the same rules.
        let control = Control { active_slot: slot, ..control };
        self.set_control(control)?;
        self.set_control(Control { confirm_by: 0, fallback: NO_RULES, ..control })
    }
}
