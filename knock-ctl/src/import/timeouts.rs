//! knockd's times, within what our configuration takes.

use std::time::Duration;

use super::document::Document;
use super::knockd::At;
use super::notes::Notes;
use crate::config::duration::format_duration;

/// A key of doors that holds a time.
pub(super) struct Timeout {
    key: &'static str,
    default: Duration,
    min: Duration,
    max: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

pub(super) const SEQ_TIMEOUT: Timeout =
    Timeout { key: "seq_timeout", default: Duration::from_secs(25), min: Duration::from_secs(1), max: DAY };

pub(super) const CMD_TIMEOUT: Timeout = Timeout {
    key: "cmd_timeout",
    default: Duration::from_secs(10),
    min: Duration::from_millis(1),
    max: Duration::from_secs(365 * DAY.as_secs()),
};

impl Timeout {
    pub(super) fn of(&self, line: Option<&At<Duration>>) -> Duration {
        line.map_or(self.default, |line| line.value.clamp(self.min, self.max))
    }

    /// Warns where the door's time is too long for us.
    pub(super) fn write(&self, line: Option<&At<Duration>>, document: &mut Document, notes: &mut Notes) {
        if let Some(line) = line.filter(|line| line.value > self.max) {
            let max = format_duration(self.max);
            notes.warn(
                line.place,
                format!("{}: {max} is the longest that knock-ctl has, and taken", self.key),
                format!("write {} or less", self.max.as_secs()),
            );
        }
        document.setting(self.key, format_duration(self.of(line)));
    }
}
