//! `cargo xtask build`.

use std::path::PathBuf;

use anyhow::Result;

use crate::setup;
use crate::workspace::{cargo, run, target};

/// Builds the program as it is released; returns where it lies.
pub fn release() -> Result<PathBuf> {
    setup::bpf_tools()?;
    run(cargo().args(["build", "--release", "--package", "knock-ctl"]))?;
    Ok(target().join("release/knock-ctl"))
}
