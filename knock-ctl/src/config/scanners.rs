//! `[scanners]`: which sources are held, and for how long.

use std::time::Duration;

use super::report::{Located, Report};
use super::scalar::{self, DAY, MILLISECOND, SECOND};
use super::section::{self, Kind, Section};
use super::tree::Entry;
use crate::rules::ScannersRule;

/// Reads a section that is there, if it is empty too.
pub(super) fn read(entry: &Entry, report: &mut Report) -> Option<Located<ScannersRule>> {
    /// So many ports of each source can be told apart.
    const MAX_PORTS: u32 = 1024;
    let table = section::entry_table(entry, "scanners", report)?;
    let mut section = Section::new(Kind::Scanners, "in [scanners]", table);
    let ports = section.read("ports", report, scalar::count(1..=MAX_PORTS));
    let within = section.read("within", report, scalar::duration(MILLISECOND..=DAY));
    let hold = section.read("hold", report, scalar::duration(SECOND..=365 * DAY));
    let include_public = section.read("include_public", report, scalar::boolean);
    section.finish(report);
    let rule = ScannersRule {
        ports: ports.unwrap_or(20),
        within: within.unwrap_or(Duration::from_secs(10)),
        hold: hold.unwrap_or(Duration::from_secs(600)),
        include_public: include_public.unwrap_or(false),
    };
    Some(Located { place: entry.place, value: rule })
}
