//! How grave a line is.

use log::{Level, Metadata};

use super::{DOORS, IN_PASSING};

/// As in syslog(3), by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Severity {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

impl Severity {
    /// What doors do is a notice, as all is that knockd says.
    pub(super) fn of(metadata: &Metadata<'_>) -> Self {
        match metadata.level() {
            Level::Error => Self::Error,
            Level::Warn => Self::Warning,
            Level::Info if [DOORS, IN_PASSING].contains(&metadata.target()) => Self::Notice,
            Level::Info => Self::Info,
            Level::Debug | Level::Trace => Self::Debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_speak_in_notices() {
        let of = |target, level| Severity::of(&Metadata::builder().target(target).level(level).build());
        assert_eq!(of(DOORS, Level::Info), Severity::Notice);
        assert_eq!(of(IN_PASSING, Level::Info), Severity::Notice);
        assert_eq!(of(DOORS, Level::Warn), Severity::Warning);
        assert_eq!(of("knock_ctl::controller", Level::Info), Severity::Info);
        assert_eq!(of("knock_ctl::controller", Level::Error), Severity::Error);
    }
}
