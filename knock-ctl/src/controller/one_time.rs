//! One-time sequences: what the kernel program has seen used is marked in its file, and the next ones follow.
//!
//! The journal says which sequences are in the kernel before they are. So whoever begins anew, after a crash of the controller or
//! of the machine, knows which may have been used: by the tables, where they are still there, else all of them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use knock_common::rules::SequenceId;

use super::in_force::Prepared;
use super::notice::Notice;
use super::watch::{Watch, beside_journal};
use crate::config::{Config, DoorSequence, OneTimeFile};
use crate::datapath::Maps;
use crate::journal::{Preloaded, PreloadedDoor};
use crate::logging::DOORS;
use crate::namespace::NetworkNamespace;
use crate::rules::RuleSet;

/// Marks what was used, or may have been, in the tables that an earlier controller has left; `None`: they are no more. Returns
/// whether files have changed.
///
/// # Errors
/// When something can't be marked: it could be used again.
pub(super) fn settle(maps: Option<&Maps>) -> Result<bool> {
    let path = record_path()?;
    let Some(preloaded) = Preloaded::load(&path)? else {
        return Ok(false);
    };
    let used = match maps {
        Some(maps) if maps.identity()? == preloaded.tables => Some(maps.used_sequences()?),
        _ => None,
    };
    let mut changed = false;
    for (door, PreloadedDoor { file, sequences }) in &preloaded.doors {
        let gone = match &used {
            Some(used) => sequences.intersection(used).copied().collect(),
            None => sequences.clone(),
        };
        let marked = match OneTimeFile::mark(file, door, &gone) {
            // With its door, which is no more.
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            marked => marked.with_context(|| {
                format!("{}: cannot mark the one-time sequences of {door} that are used", file.display())
            })?,
        };
        match (marked, &used) {
            (0, _) => continue,
            (count, Some(_)) => log::info!("{door}: one-time sequences used meanwhile: {count}"),
            (count, None) => log::warn!(
                "{door}: {count} one-time sequences were in the kernel when it lost its tables, and count as used"
            ),
        }
        changed = true;
    }
    if used.is_none() {
        Preloaded::remove(&path)?;
    }
    Ok(changed)
}

/// Says on the disk which sequences are about to be in the kernel, besides those that are.
pub(super) fn note_preloaded(maps: &Maps, config: &Config, rules: &RuleSet) -> Result<()> {
    let path = record_path()?;
    let before = Preloaded::load(&path)?;
    if before.is_none() && rules.doors.iter().all(|door| door.one_time.is_none()) {
        return Ok(());
    }
    let tables = maps.identity()?;
    let mut preloaded = before.filter(|before| before.tables == tables).unwrap_or_default();
    preloaded.tables = tables;
    let used = maps.used_sequences()?;
    for door in preloaded.doors.values_mut() {
        door.sequences.retain(|sequence| !used.contains(sequence));
    }
    for (door, rule) in config.doors.iter().zip(&rules.doors) {
        let (DoorSequence::OneTime(file), Some(one_time)) = (&door.sequence, &rule.one_time) else {
            continue;
        };
        let entry = preloaded.doors.entry(rule.name.clone()).or_default();
        entry.file = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
        entry.sequences.extend(one_time.iter().map(|sequence| sequence.id));
    }
    preloaded.doors.retain(|_, door| !door.sequences.is_empty());
    Ok(preloaded.save(&path)?)
}

/// The tables are about to go: what was used in them is marked. What can't be marked now, the next attach does, for which all
/// that was in the kernel counts as used.
pub(super) fn settle_for_good(maps: &Maps) {
    let settled = settle(Some(maps)).and_then(|_| Ok(Preloaded::remove(&record_path()?)?));
    if let Err(error) = settled {
        log::warn!("{error:#}");
    }
}

fn record_path() -> Result<PathBuf> {
    let namespace = NetworkNamespace::current().context("this network namespace")?;
    Ok(beside_journal(&namespace, "one-time"))
}

/// Marks what is used in the files of a configuration, and takes it out of that. Returns the doors that have lost some, with the
/// number that is left. What can't be marked stays: it opens nothing, and nothing beyond those that are in the kernel follows it.
fn take_used(config: &mut Config, used: &BTreeSet<SequenceId>) -> Vec<(String, usize)> {
    let mut changed = Vec::new();
    for door in &mut config.doors {
        let DoorSequence::OneTime(file) = &mut door.sequence else { continue };
        if !file.unused.iter().any(|sequence| used.contains(&sequence.id)) {
            continue;
        }
        match OneTimeFile::mark(&file.path, door.name.as_str(), used) {
            Ok(_) => {
                file.unused.retain(|sequence| !used.contains(&sequence.id));
                changed.push((door.name.to_string(), file.unused.len()));
            }
            Err(error) => log::error!(
                "{}: cannot mark a used one-time sequence: {}: {error}",
                door.name,
                file.path.display()
            ),
        }
    }
    changed
}

impl Watch {
    /// Marks what was used since the last look, and lets the next sequences follow.
    pub(super) fn follow_one_time(&mut self) -> Result<()> {
        if self.in_force.one_time.is_empty() {
            return Ok(());
        }
        let used = self.maps.used_sequences()?;
        let mut config = self.in_force.config.clone();
        let changed = take_used(&mut config, &used);
        for (door, left) in &changed {
            if *left == 0 {
                log::warn!(target: DOORS, "{door}: the last one-time sequence is used; the door is shut");
                self.tell(Notice::new("one_time_exhausted").door(door));
            } else {
                log::info!(target: DOORS, "{door}: one-time sequence used, {left} left");
                self.tell(Notice::new("one_time_used").door(door).count(*left as u64));
            }
        }
        if !changed.is_empty() {
            self.in_force.config = config;
            self.preload_due = true;
        }
        // Until a change is confirmed, the rules before must stay where they are; there are some sequences in the kernel yet.
        if self.preload_due
            && self.change.is_none()
            && let Err(error) = self.preload_next(used)
        {
            log::error!("the next one-time sequences can't follow yet: {error:#}");
        }
        Ok(())
    }

    fn preload_next(&mut self, used: BTreeSet<SequenceId>) -> Result<()> {
        let prepared = Prepared::again(&self.in_force, &self.maps.states()?)?;
        let (in_force, _) = prepared.put_into_force(&mut self.maps, &self.directory, None)?;
        let before = std::mem::replace(&mut self.in_force, in_force);
        self.in_force.interfaces = before.interfaces;
        self.preload_due = false;
        // What the last turn has dropped, neither these rules nor those before them name.
        let named = |sequence: &SequenceId| self.in_force.one_time.contains_key(sequence);
        let dropped: BTreeSet<_> = used.into_iter().filter(|sequence| !named(sequence)).collect();
        let retired = std::mem::replace(&mut self.retired, dropped);
        self.maps.forget_used(&retired)?;
        self.retired.retain(|sequence| !retired.contains(sequence));
        Ok(())
    }
}
