//! `knock.toml`: from text to checked types, all errors at once.
//!
//! [`load`] and [`parse`] read files into a tree in which every value knows its place, join includes, read each
//! section once, and then check doors against each other.

mod address;
mod archive;
mod check;
pub mod command;
mod conflict;
pub mod describe;
pub mod destination;
pub mod diagnostic;
pub mod door;
mod draft;
pub mod duration;
pub mod filter;
pub mod flags;
mod forwarded;
pub mod hosts;
mod include;
pub mod limits;
mod mark;
mod metrics;
mod one_time;
pub mod ports;
pub mod private;
pub mod protocols;
mod report;
mod scalar;
mod scanners;
mod section;
pub mod sequence;
mod source;
mod strength;
mod tree;
mod warn;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use archive::Archive;
pub use command::{CommandLine, DoorCommands, PerFamily};
pub use destination::Destination;
pub use diagnostic::{ConfigErrors, Diagnostic, Position};
pub use door::{Door, DoorName, DoorSequence, OpenFor, Opens};
pub use filter::{Established, Filter, Interface, Mode, Trusted};
pub use forwarded::closed_for_others;
pub use limits::{Limits, Log, Timeouts};
pub use one_time::{OneTimeFile, OneTimeSequence};
pub use protocols::IpProtocol;
pub use sequence::{Sequence, SequenceError};
pub use warn::warn_listeners;

pub(crate) use mark::mark;

#[cfg(feature = "controller")]
pub(crate) use conflict::{Conflict, Knocks, conflict};
#[cfg(feature = "controller")]
pub(crate) use section::nearest;

use draft::Draft;
use report::Report;
use section::{Kind, Section};
use source::{Location, Place, SourceId, Sources};
use tree::Table;

use crate::rules::ScannersRule;

/// A whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub filter: Filter,
    /// In the order of the files; no two of one name.
    pub doors: Vec<Door>,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub log: Log,
    /// `None`: nobody is held.
    pub scanners: Option<ScannersRule>,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
}

impl Config {
    pub fn door(&self, name: &str) -> Option<&Door> {
        self.doors.iter().find(|door| door.name.as_str() == name)
    }
}

/// A configuration and what it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Diagnostic>,
    /// Over the bytes of all files in the order they were read, in hexadecimal.
    pub sha256: String,
    /// The main file, as it was named.
    pub path: PathBuf,
    /// Every file read: the main one, included ones, sequence files.
    pub files: Vec<PathBuf>,
    /// To read it again, whatever its files say then.
    pub archive: Archive,
    /// It was read from an archive: its files may say something else.
    pub is_archived: bool,
    /// Where each door's sequence stands, in the order of `config.doors`.
    sequence_locations: Vec<Location>,
    /// Where the policy stands, else the main file.
    policy_location: Location,
}

/// Reads a configuration file and all it refers to.
///
/// # Errors
/// All that is wrong in any of the files, or that the file cannot be read.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    read_files(path, Sources::default())
}

/// Reads a configuration as it was when it was loaded, but for the files of one-time sequences, which are read as they are.
///
/// # Errors
/// Those of [`load`]: this program may be another one, and one-time sequences may be gone.
pub fn load_archived(archive: &Archive) -> Result<Loaded, ConfigErrors> {
    let loaded = read_files(archive.main(), Sources::of_archive(archive.clone()))?;
    Ok(Loaded { is_archived: true, ..loaded })
}

fn read_files(path: &Path, mut sources: Sources) -> Result<Loaded, ConfigErrors> {
    let mut report = Report::default();
    let main = sources.add_file(path, &mut report).map_err(|error| Diagnostic {
        file: path.display().to_string(),
        position: None,
        message: error.message,
        help: error.help,
    })?;
    read(main, path, sources, report)
}

/// Whether the files would give another configuration than that of this hash, or none.
pub fn differs_from_disk(path: &Path, sha256: &str) -> bool {
    load(path).map_or(true, |loaded| loaded.sha256 != sha256)
}

/// Reads a configuration that is in no file. Messages call it `name`; relative paths in it begin at `base`.
///
/// # Errors
/// All that is wrong in the text or in any of the files it refers to.
pub fn parse(text: &str, name: &str, base: &Path) -> Result<Loaded, ConfigErrors> {
    let mut sources = Sources::default();
    let main = sources.add_text(name, text, base);
    read(main, Path::new(name), sources, Report::default())
}

fn read(
    main: SourceId,
    path: &Path,
    mut sources: Sources,
    mut report: Report,
) -> Result<Loaded, ConfigErrors> {
    let document = include::read(main, &mut sources, &mut report);
    let (config, doors, policy) =
        read_document(document.as_ref().unwrap_or(Table::EMPTY), &mut sources, &mut report);
    warn::warn_closed_nothing(&config, main, &mut report);
    warn::warn_readable(&doors, &sources, &mut report);
    let (errors, warnings) = report.resolve(&sources);
    if let Some(errors) = ConfigErrors::from_list(errors) {
        return Err(errors);
    }
    Ok(Loaded {
        config,
        warnings,
        sha256: sources.sha256(),
        path: path.to_owned(),
        files: sources.files(),
        archive: sources.to_archive(path),
        is_archived: false,
        sequence_locations: doors.iter().map(|draft| sources.locate(draft.sequence_place())).collect(),
        policy_location: sources.locate(policy.unwrap_or(Place::whole(main))),
    })
}

/// Reads and checks all sections, and says where the policy stands. Without errors in the report, every draft holds a door
/// and the configuration them all.
fn read_document(
    document: &Table,
    sources: &mut Sources,
    report: &mut Report,
) -> (Config, Vec<Draft>, Option<Place>) {
    let mut file = Section::new(Kind::File, "outside any section", document);
    // Read before; asked for here to be known.
    file.entry("include");
    let filter = filter::read(file.table("filter", report), report);
    let defaults = file.entry("door_defaults");
    let doors = read_doors(file.table("doors", report), defaults, sources, report);
    let limits = limits::read_limits(file.table("limits", report), report);
    let timeouts = limits::read_timeouts(file.table("timeouts", report), report);
    let log = limits::read_log(file.table("log", report), report);
    let scanners = file.entry("scanners").and_then(|entry| scanners::read(entry, report));
    let metrics = file.entry("metrics").and_then(|entry| metrics::read(entry, report));
    file.finish(report);
    check::check(&filter.filter, &doors, report);
    warn::warn(&filter, &doors, scanners.as_ref(), report);
    if let Some(listen) = &metrics {
        metrics::warn(listen, report);
    }
    let config = Config {
        filter: filter.filter,
        doors: doors.iter().filter_map(|draft| draft.door.clone()).collect(),
        limits,
        timeouts,
        log,
        scanners: scanners.map(|located| located.value),
        metrics: metrics.map(|located| located.value),
    };
    (config, doors, filter.policy)
}

fn read_doors(
    doors: &Table,
    defaults: Option<&tree::Entry>,
    sources: &mut Sources,
    report: &mut Report,
) -> Vec<Draft> {
    let label = "door_defaults";
    let fallback =
        defaults.and_then(|entry| section::entry_table(entry, label, report)).unwrap_or(Table::EMPTY);
    if let Some(entry) = defaults {
        // Read as a door for its errors alone, which count even if every door overrides it.
        let section = Section::new(Kind::Door, format!("in [{label}]"), fallback);
        draft::read_door(label, entry.place, section, sources, report);
    }
    let mut drafts = Vec::with_capacity(doors.entries.len());
    for entry in &doors.entries {
        let label = match entry.key.parse::<DoorName>() {
            Ok(name) => format!("doors.{name}"),
            Err(_) => format!("doors.{:?}", entry.key),
        };
        let Some(table) = section::entry_table(entry, &label, report) else { continue };
        let section = Section::new(Kind::Door, format!("in [{label}]"), table).with_fallback(fallback);
        drafts.push(draft::read_door(&entry.key, entry.place, section, sources, report));
    }
    drafts
}
