//! `cargo xtask demo`: a server behind the filter, a stranger and somebody who knows the sequence, each in a network
//! namespace of its own.

mod filter;
mod lab;
mod scenario;
mod service;

use anyhow::{Result, ensure};
use nix::unistd::Uid;

use crate::story::Interrupt;
use crate::{build, setup};
use lab::Lab;

/// Plays the scenario and cleans up; the error names the step that was not as it should be.
pub fn run() -> Result<()> {
    ensure!(Uid::effective().is_root(), "the demo makes network namespaces: run it as root");
    setup::for_demo()?;
    let program = build::release()?;
    let interrupt = Interrupt::catch()?;
    let lab = Lab::new()?;
    scenario::play(&lab, &program, &interrupt)
}
