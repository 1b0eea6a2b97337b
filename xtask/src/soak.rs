//! `cargo xtask soak`.

use std::ffi::OsString;

use anyhow::Result;

use crate::setup;
use crate::workspace::{cargo, run};

/// `arguments` go to the soak itself, which is an example of the tests' package.
pub fn run_for(arguments: &[OsString]) -> Result<()> {
    setup::everything()?;
    // What is soaked, which running the example alone does not build.
    run(cargo().args(["build", "--package", "knock-ctl"]))?;
    run(cargo().args(["run", "--package", "knock-tests", "--example", "soak", "--"]).args(arguments))
}
