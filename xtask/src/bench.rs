//! `cargo xtask bench`.

use std::process::Command;

use anyhow::{Result, ensure};
use nix::unistd::Uid;

use crate::setup;
use crate::workspace::{cargo, root, run, target};

/// Builds what is measured as it is released, and measures it. `only` names sections, separated by commas.
pub fn measure(quick: bool, only: Option<&str>, publish: bool) -> Result<()> {
    ensure!(Uid::effective().is_root(), "the bench loads programs into the kernel: run it as root");
    setup::for_bench()?;
    run(cargo().args(["build", "--release", "--package", "knock-ctl", "--package", "knock-bench"]))?;
    let mut bench = Command::new(target().join("release/knock-bench"));
    bench.arg("--folder").arg(target().join("bench"));
    if quick {
        bench.arg("--quick");
    }
    if let Some(sections) = only {
        bench.args(["--only", sections]);
    }
    if publish {
        bench.arg("--publish").arg(root());
    }
    run(&mut bench)
}
