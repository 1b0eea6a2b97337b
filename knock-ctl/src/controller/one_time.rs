//! One-time sequences: what the kernel program has seen used is marked in its file, and the next ones follow.
//!
//! The journal says which sequences are in the kernel before they are. So whoever begins anew, after a crash of the controller or
//! of the machine, knows which may have been used: by the tables, where they are still there, else all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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
        match OneTimeFile::mark(file, door, &gone) {
            Ok(0) => continue,
            Ok(count) if used.is_some() => log::info!("{door}: one-time sequences used meanwhile: {count}"),
            Ok(count) => log::warn!(
                "{door}: {count} one-time sequences were in the kernel when it lost its tables, and count as used"
            ),
            // The file may be gone, with its door.
            Err(error) => log::warn!("{door}: {}: {error}", file.display()),
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

/// The tables are about to go: what was used in them is marked.
pub(super) fn settle_for_good(maps: &Maps) -> Result<()> {
    settle(Some(maps))?;
    Ok(Preloaded::remove(&record_path()?)?)
}

fn record_path() -> Result<PathBuf> {
    let namespace = NetworkNamespace::current().context("this network namespace")?;
    Ok(beside_journal(&namespace, "one-time"))
}

/// Takes what is used out of a configuration's files. Returns the doors that have lost some, with the number that is left.
fn take_used(config: &mut Config, used: &BTreeSet<SequenceId>) -> Vec<(String, usize)> {
    let mut changed = Vec::new();
    for door in &mut config.doors {
        let DoorSequence::OneTime(file) = &mut door.sequence else { continue };
        let before = file.unused.len();
        file.unused.retain(|sequence| !used.contains(&sequence.id));
        if file.unused.len() < before {
            changed.push((door.name.to_string(), file.unused.len()));
        }
    }
    changed
}

fn mark(path: &Path, door: &str, used: &BTreeSet<SequenceId>) {
    if let Err(error) = OneTimeFile::mark(path, door, used) {
        // The tables still know, and the journal.
        log::error!(target: DOORS, "{door}: cannot mark a used one-time sequence: {}: {error}", path.display());
    }
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
            if let Some(DoorSequence::OneTime(file)) = config.door(door).map(|door| &door.sequence) {
                mark(&file.path, door, &used);
            }
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
