//! A configuration that was in force is kept, and may be taken again where its files are refused.

use std::path::Path;

use anyhow::{Context, Result};

use super::Options;
use super::in_force::Prepared;
use super::watch::{STATE_DIRECTORY, Watch};
use crate::config::{self, Loaded};
use crate::journal::LastGood;
use crate::rules::PreviousStates;

impl Options {
    /// As [`Options::load`]. With `or_last_good`, what is refused is replaced by what was last in force, and that is said loudly.
    pub(super) fn load_or_last_good(&self) -> Result<Loaded> {
        if !self.or_last_good {
            return Ok(self.load()?);
        }
        match self.load_compilable() {
            Ok(loaded) => Ok(loaded),
            Err(refusal) => self.last_good_instead(&refusal),
        }
    }

    /// As what has been loaded was loaded, because files of one-time sequences have changed since.
    pub(super) fn load_again(&self, before: &Loaded) -> Result<Loaded> {
        if before.is_archived {
            return Ok(self.overruled(config::load_archived(&before.archive)?));
        }
        Ok(self.load()?)
    }

    fn load_compilable(&self) -> Result<Loaded> {
        let loaded = self.load()?;
        Prepared::new(loaded.clone(), &PreviousStates::new())?;
        Ok(loaded)
    }

    fn last_good_instead(&self, refusal: &anyhow::Error) -> Result<Loaded> {
        for line in format!("{refusal:#}").lines() {
            log::error!("{line}");
        }
        let file = self.config.display();
        let last_good = LastGood::load(Path::new(STATE_DIRECTORY), &self.config)
            .with_context(|| format!("{file} is refused, and what was last in force can't be taken instead"))?
            .with_context(|| {
                format!("{file} is refused, and nothing that it said was ever in force: mend it, see `knock-ctl check`")
            })?;
        let loaded = config::load_archived(&last_good.archive).with_context(|| {
            format!("{file} is refused, and so is now what was in force since {}", last_good.since)
        })?;
        log::error!(
            "{file} IS REFUSED, see above; the rules that were in force since {} are taken instead: mend it, \
             then `knock-ctl reload`",
            last_good.since
        );
        Ok(self.overruled(loaded))
    }
}

impl Watch {
    /// Of rules that hold for good.
    pub(super) fn keep_last_good(&self) {
        let files = &self.in_force.files;
        // Secrets are not copied for somebody who will never ask for them.
        if files.is_last_good || !self.options.or_last_good {
            return;
        }
        let last_good = LastGood { since: super::notice::now(), archive: files.archive.clone() };
        if let Err(error) = last_good.save(Path::new(STATE_DIRECTORY)) {
            log::warn!(
                "should the files be refused one day, these rules are not there to go back to: {error}"
            );
        }
    }
}
