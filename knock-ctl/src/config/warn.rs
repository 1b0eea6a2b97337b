//! What is allowed and yet unwise.

use std::collections::BTreeSet;

use knock_common::port::Port;

use super::check::covers;
use super::diagnostic::Diagnostic;
use super::door::Opens;
use super::draft::{Draft, DraftSequence};
use super::filter::{DraftFilter, Filter};
use super::private;
use super::report::{Fault, Located, Report};
use super::sequence::Sequence;
use super::source::{Place, SourceId, Sources};
use super::strength::{self, Shape};
use super::{Config, Loaded};
use crate::rules::{Policy, ScannersRule};

const GENERATE: &str = "take a random one: \"knock-ctl generate 22/tcp\" prints one";

pub(super) fn warn(
    filter: &DraftFilter,
    doors: &[Draft],
    scanners: Option<&Located<ScannersRule>>,
    report: &mut Report,
) {
    warn_filter(filter, report);
    warn_policy(filter, doors, report);
    for draft in doors {
        for sequence in draft.sequences() {
            warn_sequence(&draft.name, sequence, report);
            if let Some(scanners) = scanners {
                warn_held(&draft.name, sequence, scanners, report);
            }
        }
        if draft.door.as_ref().is_some_and(|door| door.sequence.next().is_none()) {
            report.warn(Fault::new(
                draft.place,
                format!("door {:?} is shut: all its one-time sequences are used", draft.name),
                "add lines to its file, each a sequence behind a space",
            ));
        }
        if let Some(revoked) = draft.revokes.iter().find(|revoked| revoked.value == draft.name) {
            report.warn(Fault::new(
                revoked.place,
                format!("door {:?} revokes itself", draft.name),
                "leave it out, or write the revocation into a door of its own",
            ));
        }
    }
}

fn warn_filter(filter: &DraftFilter, report: &mut Report) {
    if let Some(place) = filter.not_strict {
        report.warn(Fault::new(
            place,
            "with strict = false a scan of all ports can open a door, since most ports do not reset an attempt",
            "leave it out",
        ));
    }
    for entry in &filter.protected {
        if filter.filter.public.iter().any(|public| covers(public, &entry.value)) {
            report.warn(Fault::new(
                entry.place,
                format!("{} is public too, so it is not protected", entry.value),
                "take it out of one of the two",
            ));
        }
    }
    for entry in &filter.trusted {
        if entry.value.from.prefix_len() == 0 && entry.value.to == Opens::Any {
            report.warn(Fault::new(
                entry.place,
                format!("{} trusts everyone: no door is ever closed to them", entry.value.from),
                "name the networks that need not knock",
            ));
        }
    }
}

fn warn_policy(filter: &DraftFilter, doors: &[Draft], report: &mut Report) {
    let Filter { policy, public, trusted, .. } = &filter.filter;
    match policy {
        Policy::Pass => {
            for &(key, place) in &filter.for_drop_alone {
                report.warn(Fault::new(
                    place,
                    format!("\"{key}\" does nothing with policy = \"pass\": what it is about passes anyway"),
                    "leave it out, or write policy = \"drop\"",
                ));
            }
        }
        Policy::Drop => {
            let opens = |draft: &Draft| draft.door.as_ref().is_none_or(|door| !door.opens.is_nothing());
            let entrance = !public.is_empty() || !trusted.is_empty() || doors.iter().any(opens);
            if let Some(place) = filter.policy.filter(|_| !entrance) {
                report.warn(Fault::new(
                    place,
                    "with policy = \"drop\" nobody could connect to this machine: no port is public, no source trusted, \
                     and no door opens a port",
                    "add a door: [doors.NAME] with a sequence and opens",
                ));
            }
        }
    }
}

/// Knocks on closed ports count as a scanner's do.
fn warn_held(name: &str, draft: &DraftSequence, scanners: &Located<ScannersRule>, report: &mut Report) {
    let ports = draft.sequence.steps().iter().collect::<BTreeSet<_>>().len();
    if ports >= scanners.value.ports as usize {
        report.warn(Fault::new(
            scanners.place,
            format!("whoever knocks at door {name:?} hits {ports} closed ports, and is held as a scanner"),
            format!("write ports = {} or more", ports + 1),
        ));
    }
}

fn warn_sequence(name: &str, draft: &DraftSequence, report: &mut Report) {
    let steps = draft.sequence.steps().len();
    let mut warn =
        |what: &str| report.warn(Fault::new(draft.place, format!("door {name:?}: {what}"), GENERATE));
    if steps < 3 {
        warn("a sequence of fewer than three steps can be opened by a scan");
    }
    if strength::is_published(&draft.sequence) {
        warn("this sequence is published, and scanners try it");
    }
    match Shape::of(&draft.sequence) {
        Shape::Repeated => warn("one port again and again is among the first to be guessed"),
        Shape::Consecutive => warn("a sequence of consecutive ports is opened by a scan in that order"),
        Shape::Even { ascending: false } => {
            warn("a sequence of evenly spaced ports is among the first to be guessed");
        }
        Shape::Even { ascending: true } | Shape::Ascending => {
            warn("a sequence of ascending ports is among the first to be guessed");
        }
        Shape::Plain => {}
    }
}

/// A configuration without effect on any packet.
pub(super) fn warn_closed_nothing(config: &Config, main: SourceId, report: &mut Report) {
    let Config { filter, doors, scanners, .. } = config;
    let closed = !doors.is_empty() || !filter.protected.is_empty() || filter.policy == Policy::Drop;
    if !closed && scanners.is_none() {
        report.warn(Fault::new(
            Place::whole(main),
            "nothing is closed: there is no door and no protected port",
            "add a door: [doors.NAME] with a sequence and opens",
        ));
    }
}

/// A file that holds sequences and that others than its owner can read.
pub(super) fn warn_readable(doors: &[Draft], sources: &Sources, report: &mut Report) {
    let secrets: BTreeSet<_> =
        doors.iter().flat_map(Draft::sequences).map(|sequence| sequence.place.source).collect();
    for source in secrets {
        let (Some(path), Some(metadata)) = (sources.path(source), sources.metadata(source)) else { continue };
        if let Some(mode) = private::shared_mode(metadata) {
            report.warn(Fault::new(
                Place::whole(source),
                format!("this file holds sequences, and others than its owner may read it (mode {mode:04o})"),
                private::chmod(path),
            ));
        }
    }
}

/// Knock ports on which something listens here: whoever uses that service takes a step, and a knock reaches it.
pub fn warn_listeners(loaded: &Loaded, listening: &dyn Fn(Port) -> bool) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (door, location) in loaded.config.doors.iter().zip(&loaded.sequence_locations) {
        for (index, &step) in door.sequence.next().into_iter().flat_map(Sequence::steps).enumerate() {
            if listening(step) {
                warnings.push(Diagnostic {
                    file: location.file.clone(),
                    position: location.position,
                    message: format!(
                        "step {} of door \"{}\" is a port with a listener",
                        index + 1,
                        door.name
                    ),
                    help: "knock on a port that nothing here listens on".to_owned(),
                });
            }
        }
    }
    warnings
}
