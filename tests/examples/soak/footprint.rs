//! What the controller and the filter hold: memory, descriptors, programs, maps, pins, processes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{MapInfo, loaded_maps};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::loaded_programs;
use knock_tests::lab::Machine;
use knock_tests::site::Site;

/// At one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// With pages of the program's file and of the kernel's maps.
    pub resident_kib: u64,
    /// Without them.
    pub own_kib: u64,
    pub descriptors: usize,
    /// Programs and maps of this filter that the kernel has.
    pub programs: usize,
    pub maps: usize,
    pub pins: usize,
    /// In the server's network namespace, the controller among them.
    pub processes: usize,
}

/// Remembers each program and map that was ever this filter's: others on the machine may have their own.
#[derive(Debug, Default)]
pub struct Footprints {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
}

impl Footprints {
    /// # Errors
    /// When the controller, its pins or the kernel's lists can't be read.
    pub fn look(&mut self, site: &Site, controller: u32) -> Result<Footprint> {
        let pins = files_below(&site.pins())?;
        self.learn(&pins, controller)?;
        let (programs, maps) = self.left()?;
        let status =
            fs::read_to_string(format!("/proc/{controller}/status")).context("the controller's memory")?;
        Ok(Footprint {
            resident_kib: kib(&status, "VmRSS:")?,
            own_kib: kib(&status, "RssAnon:")?,
            descriptors: descriptors(controller)?,
            programs,
            maps,
            pins: pins.len(),
            processes: processes(site)?,
        })
    }

    /// Programs and maps of all ever seen that the kernel still has.
    ///
    /// # Errors
    /// When the kernel does not list them.
    pub fn left(&self) -> Result<(usize, usize)> {
        // One that ends meanwhile is an error in its place in the list.
        let programs = loaded_programs().flatten().filter(|program| self.programs.contains(&program.id()));
        let maps = loaded_maps().flatten().filter(|map| self.maps.contains(&map.id()));
        Ok((programs.count(), maps.count()))
    }

    fn learn(&mut self, pins: &[String], controller: u32) -> Result<()> {
        for pin in pins {
            if pin.contains("/links/") {
                // What is taken off at this moment is seen at the next look, or is gone.
                if let Ok(link) = PinnedLink::from_pin(pin) {
                    self.programs.insert(FdLink::from(link).info()?.program_id());
                }
            } else if let Ok(map) = MapInfo::from_pin(pin) {
                self.maps.insert(map.id());
            }
        }
        for descriptor in fs::read_dir(format!("/proc/{controller}/fdinfo"))?.flatten() {
            let told = fs::read_to_string(descriptor.path()).unwrap_or_default();
            self.programs.extend(number_after(&told, "prog_id:"));
            self.maps.extend(number_after(&told, "map_id:"));
        }
        for program in loaded_programs().flatten().filter(|program| self.programs.contains(&program.id())) {
            self.maps.extend(program.map_ids()?.unwrap_or_default());
        }
        Ok(())
    }
}

/// Of a process.
///
/// # Errors
/// When it has ended.
pub fn descriptors(process: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd")).context("the controller's descriptors")?.count())
}

/// In the server's network namespace.
///
/// # Errors
/// When /proc can't be read.
pub fn processes(site: &Site) -> Result<usize> {
    let namespace = fs::metadata(site.lab.namespace(Machine::Server).path())?.ino();
    let is_inside =
        |path: &Path| fs::metadata(path.join("ns/net")).is_ok_and(|inside| inside.ino() == namespace);
    Ok(fs::read_dir("/proc")?.flatten().filter(|entry| is_inside(&entry.path())).count())
}

fn kib(status: &str, name: &str) -> Result<u64> {
    number_after(status, name).map(u64::from).with_context(|| format!("no {name} of a process"))
}

fn number_after(text: &str, name: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Files, and empty folders, which are marks too.
fn files_below(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries.flatten() {
        if entry.file_type()?.is_dir() {
            found.extend(files_below(&entry.path())?);
        } else {
            found.extend(entry.path().to_str().map(str::to_owned));
        }
    }
    Ok(found)
}
