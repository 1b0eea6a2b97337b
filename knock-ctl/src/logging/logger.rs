//! Takes each line, and gives it to whoever is to have it.

use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::file::LogFileError;
use super::limiter::{About, Limiter};
use super::severity::Severity;
use super::{DOORS, IN_PASSING, Outputs, console};

/// Of any output, rounded up.
const PREFIX_BYTES: usize = 48;

pub(super) static LOGGER: LazyLock<Logger> = LazyLock::new(|| Logger {
    console: console::logger(),
    state: Mutex::new(State { limiter: Limiter::new(), outputs: Outputs::default() }),
});

/// Somewhere that the log goes to besides standard error.
pub(super) trait Output {
    /// A message of one line or several.
    fn write(&mut self, severity: Severity, message: &str) -> io::Result<()>;
    /// As a sentence can say it.
    fn name(&self) -> String;
}

/// An output of which it is known whether it failed when it was last written to.
#[derive(Debug)]
pub(super) struct Failing<O> {
    pub(super) output: O,
    failed: bool,
}

impl<O> From<O> for Failing<O> {
    fn from(output: O) -> Self {
        Self { output, failed: false }
    }
}

impl<O: Output> Failing<O> {
    /// Returns what there is to say if it fails, and did not before.
    fn write(&mut self, severity: Severity, message: &str) -> Option<String> {
        let result = self.output.write(severity, message);
        let failed_before = std::mem::replace(&mut self.failed, result.is_err());
        let error = result.err().filter(|_| !failed_before)?;
        Some(format!(
            "{} can't be written to: {error}; lines are missing there until it can",
            self.output.name()
        ))
    }
}

pub(super) struct Logger {
    console: env_logger::Logger,
    state: Mutex<State>,
}

struct State {
    limiter: Limiter,
    outputs: Outputs,
}

impl Logger {
    pub(super) fn most_detailed(&self) -> LevelFilter {
        self.console.filter()
    }

    pub(super) fn write_to(&self, outputs: Outputs) {
        self.state().outputs = outputs;
    }

    pub(super) fn reopen(&self) -> Result<(), LogFileError> {
        self.state().outputs.file.as_mut().map_or(Ok(()), |file| file.output.reopen())
    }

    pub(super) fn left_out(&self, now: Instant) -> Option<u64> {
        self.state().limiter.left_out(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.console.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.console.matches(record) {
            return;
        }
        let message = record.args().to_string();
        let mut state = self.state();
        if !state.limiter.admit(about(record.target()), message.len() + PREFIX_BYTES, Instant::now()) {
            return;
        }
        self.console.log(record);
        let severity = Severity::of(record.metadata());
        let State { outputs: Outputs { syslog, file }, .. } = &mut *state;
        let failures = [
            syslog.as_mut().and_then(|syslog| syslog.write(severity, &message)),
            file.as_mut().and_then(|file| file.write(severity, &message)),
        ];
        for failure in failures.into_iter().flatten() {
            self.console.log(&Record::builder().level(Level::Error).args(format_args!("{failure}")).build());
        }
    }

    fn flush(&self) {
        self.console.flush();
    }
}

fn about(target: &str) -> About {
    match target {
        DOORS => About::Door,
        IN_PASSING => About::InPassing,
        _ => About::Controller,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(bool);

    impl Output for Broken {
        fn write(&mut self, _: Severity, _: &str) -> io::Result<()> {
            if self.0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn name(&self) -> String {
            "the test".to_owned()
        }
    }

    #[test]
    fn a_failure_is_told_of_once_until_it_is_over() {
        let mut output = Failing::from(Broken(false));
        let mut told = |broken| {
            output.output.0 = broken;
            output.write(Severity::Info, "line").is_some()
        };
        let results = [false, true, true, false, true].map(&mut told);
        assert_eq!(results, [false, true, false, false, true]);
    }
}
