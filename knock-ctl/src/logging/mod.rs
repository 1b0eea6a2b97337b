//! The log: to standard error, and, where the configuration says so, to syslog and to a file.

mod console;
mod file;
mod limiter;
mod logger;
mod severity;
mod syslog;

use std::time::Instant;

use crate::config;

pub use file::LogFileError;

use file::LogFile;
use logger::{Failing, LOGGER};
use syslog::Syslog;

/// Target of lines about what doors do. Whoever knows a sequence causes them, so that they are limited.
pub const DOORS: &str = "knock_ctl::doors";

/// Target of lines that anybody's packets cause. They leave room for those about doors.
pub const IN_PASSING: &str = "knock_ctl::in_passing";

/// Logs to standard error from now on.
pub fn begin() {
    // Fails only where somebody logs already, as tests may.
    if log::set_logger(&*LOGGER).is_ok() {
        log::set_max_level(LOGGER.most_detailed());
    }
}

/// Where the log goes besides standard error.
#[derive(Debug, Default)]
pub struct Outputs {
    syslog: Option<Failing<Syslog>>,
    file: Option<Failing<LogFile>>,
}

impl Outputs {
    /// # Errors
    /// The file can't be opened for writing.
    pub fn open(log: &config::Log) -> Result<Self, LogFileError> {
        let file = log.file.as_deref().map(LogFile::open).transpose()?.map(Failing::from);
        Ok(Self { syslog: log.syslog.then(|| Syslog::default().into()), file })
    }

    /// Whether [`Outputs::open`] would succeed, as far as that can be told without making a file.
    ///
    /// # Errors
    /// As [`Outputs::open`].
    pub fn check(log: &config::Log) -> Result<(), LogFileError> {
        log.file.as_deref().map_or(Ok(()), LogFile::check)
    }
}

/// Logs to these from now on, besides standard error.
pub fn write_to(outputs: Outputs) {
    LOGGER.write_to(outputs);
}

/// Opens the file anew, which may have been renamed meanwhile: see logrotate(8). If that fails, the one that is open is
/// written to.
pub fn reopen() {
    if let Err(error) = LOGGER.reopen() {
        log::error!("{error}; what was opened before is written to");
    }
}

/// Says how many lines were left out, where that was not said within the last minute.
pub fn tell_left_out() {
    if let Some(count) = LOGGER.left_out(Instant::now()) {
        log::warn!("{count} lines about sources were left out of the log, which would have grown too fast");
    }
}
