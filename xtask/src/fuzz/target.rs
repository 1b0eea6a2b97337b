//! One target, run by cargo-fuzz on a stable toolchain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::folders;
use super::report::Report;
use crate::bpf_toolchain::CHOICE_VARIABLE;
use crate::workspace::{cargo, line};

/// A file in tests/fuzz/fuzz_targets.
pub struct Target {
    pub name: &'static str,
    /// Bytes of the longest input that is tried.
    longest: usize,
}

/// What an input may take of memory in MiB, and of time in seconds.
const MEMORY: u32 = 1024;
const PATIENCE: u32 = 20;

impl Target {
    pub const ALL: [Self; 7] = [
        Self { name: "packet", longest: 256 },
        Self { name: "matcher", longest: 2 + 64 * 8 },
        Self { name: "knock_toml", longest: 2048 },
        Self { name: "knockd_conf", longest: 2048 },
        Self { name: "one_time_file", longest: 512 },
        Self { name: "capture", longest: 2048 },
        Self { name: "journal", longest: 1024 },
    ];

    /// Tries inputs for so long, or until something does not hold.
    pub fn fuzz(&self, time: Duration) -> Result<Report> {
        let [kept, found] = [folders::kept(), folders::found()].map(|folder| folder.join(self.name));
        let committed = folders::committed().join(self.name);
        for folder in [&kept, &found, &committed] {
            make(folder)?;
        }
        let mut command = self.run(&[&kept, &committed]);
        command.arg(format!("-max_total_time={}", time.as_secs().max(1)));
        command.args([format!("-rss_limit_mb={MEMORY}"), format!("-timeout={PATIENCE}")]);
        command.arg(format!("-artifact_prefix={}/", found.display()));
        let dictionary = folders::package().join("dictionaries").join(format!("{}.dict", self.name));
        if dictionary.exists() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        eprintln!("fuzzing {} for {} s", self.name, time.as_secs());
        let begun = Instant::now();
        let (sound, log) = self.log(&mut command)?;
        let report = Report::read(self.name, &log, begun.elapsed());
        if !sound && report.finding.is_none() {
            bail!("`{}` failed without a finding:\n{}", line(&command), last_lines(&log));
        }
        if report.finding.is_some() {
            eprintln!("{}", last_lines(&log));
        }
        Ok(report)
    }

    /// Replaces the committed corpus.
    pub fn minimise(&self) -> Result<()> {
        let [kept, minimised] = [folders::kept(), folders::minimised()].map(|folder| folder.join(self.name));
        let committed = folders::committed().join(self.name);
        if minimised.exists() {
            fs::remove_dir_all(&minimised).with_context(|| minimised.display().to_string())?;
        }
        for folder in [&kept, &minimised, &committed] {
            make(folder)?;
        }
        let mut command = self.run(&[&minimised, &kept, &committed]);
        // How often an edge is taken does not count: corpora stay small.
        command.args(["-set_cover_merge=1", "-use_counters=0"]);
        let (sound, log) = self.log(&mut command)?;
        if !sound {
            bail!("`{}` failed:\n{}", line(&command), last_lines(&log));
        }
        fs::remove_dir_all(&committed)
            .and_then(|()| fs::rename(&minimised, &committed))
            .with_context(|| committed.display().to_string())
    }

    /// With inputs from these folders; new ones are written to the first.
    fn run(&self, inputs: &[&PathBuf]) -> Command {
        let mut command = cargo_fuzz("run");
        command.arg(self.name).args(inputs).arg("--").arg(format!("-max_len={}", self.longest));
        command
    }

    /// Whether the command succeeds, and what it says, which is kept in a file too.
    fn log(&self, command: &mut Command) -> Result<(bool, String)> {
        // An input that names the standard input must not wait for somebody to type.
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("`{}` did not start", line(command)))?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        make(&folders::logs())?;
        fs::write(folders::logs().join(format!("{}.log", self.name)), &log)?;
        Ok((output.status.success(), log))
    }
}

/// Builds all targets.
pub fn build() -> Command {
    cargo_fuzz("build")
}

/// Sanitizers need a nightly toolchain, and find little in code that is safe. A development build checks assertions and
/// overflows, and does without the kernel program, which no target runs.
fn cargo_fuzz(task: &str) -> Command {
    let mut command = cargo();
    command.env(CHOICE_VARIABLE, "none");
    command.args(["fuzz", task, "--sanitizer", "none", "--dev", "--fuzz-dir"]).arg(folders::package());
    command.arg("--target-dir").arg(folders::built());
    command
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_file_and_no_file_is_forgotten() {
        let files = folders::package().join("fuzz_targets").read_dir().unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let mut expected = Target::ALL.map(|target| format!("{}.rs", target.name));
        expected.sort();
        assert_eq!(files, expected);
    }
}
