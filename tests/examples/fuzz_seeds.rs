//! Writes what fuzzing begins with: a folder for each target, a file for each seed, below the folder that is named.

use anyhow::{Context as _, Result};
use knock_tests::fuzz::{TARGETS, seeds};
use std::env;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<()> {
    let folder: PathBuf = env::args_os().nth(1).context("name the folder to write to")?.into();
    for (target, _) in TARGETS {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (number, seed) in seeds(target).iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
