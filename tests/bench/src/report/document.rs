//! Files that a run leaves.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Section;

/// Of the JSON file.
const VERSION: u32 = 1;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Document {
    version: u32,
    pub environment: Environment,
    pub sections: Vec<Section>,
}

/// Where it was measured, without which figures mean little.
#[derive(Debug, Serialize)]
pub struct Environment {
    /// RFC 3339.
    begun: String,
    kernel: String,
    processor: String,
    cpus: usize,
    quick: bool,
}

impl Document {
    pub fn new(environment: Environment) -> Self {
        Self { version: VERSION, environment, sections: Vec::new() }
    }

    /// Writes results.json, results.md and the plots.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        write("results.json", serde_json::to_string_pretty(self)? + "\n")?;
        write("results.md", self.markdown())?;
        for plot in self.sections.iter().flat_map(|section| &section.plots) {
            write(&plot.file(), plot.svg()?)?;
        }
        Ok(())
    }

    fn markdown(&self) -> String {
        let sections: Vec<String> = self.sections.iter().map(Section::markdown).collect();
        format!("# Measurements\n\n{}\n\n{}", self.environment.sentence(), sections.join("\n"))
    }
}

impl Environment {
    /// Of this machine, now.
    pub fn here(quick: bool) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            begun: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: model.map_or("unknown", |(_, model)| model.trim()).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            quick,
        }
    }

    pub fn sentence(&self) -> String {
        format!(
            "Measured at {} on Linux {}, {} CPUs ({}){}. Figures are medians of repeats that take turns, with half \
             their interquartile range.",
            self.begun,
            self.kernel,
            self.cpus,
            self.processor,
            if self.quick { ", in a quick run of few repeats" } else { "" }
        )
    }
}
