//! Collects what is found wrong while a configuration is read.

use super::diagnostic::Diagnostic;
use super::source::{Place, Sources};

/// An error or warning whose place is not yet turned into line and column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) help: String,
}

impl Fault {
    pub(super) fn new(place: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: help.into() }
    }

    /// Puts the key or step before the message.
    pub(super) fn of(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

/// A value and where it was written.
pub(super) struct Located<T> {
    pub(super) place: Place,
    pub(super) value: T,
}

#[derive(Default)]
pub(super) struct Report {
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Report {
    pub(super) fn error(&mut self, fault: Fault) {
        self.errors.push(fault);
    }

    pub(super) fn warn(&mut self, fault: Fault) {
        self.warnings.push(fault);
    }

    /// How many errors there are so far: two equal counts mean that what lay between was sound.
    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Errors and warnings, each in the order of the files. What `[door_defaults]` has wrong is found once a door,
    /// and told once.
    pub(super) fn resolve(self, sources: &Sources) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let resolve = |mut faults: Vec<Fault>| {
            faults.sort();
            faults.dedup();
            faults.into_iter().map(|fault| sources.diagnostic(fault)).collect()
        };
        (resolve(self.errors), resolve(self.warnings))
    }
}
