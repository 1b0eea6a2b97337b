//! `cargo xtask evening`: what a knockd user does in one evening, on a fresh Debian that runs systemd, sshd and knockd, from
//! the package to the service.

mod base;
mod machine;
mod neighbourhood;
mod scenario;
mod terminal;
mod user;

use anyhow::{Result, ensure};
use nix::unistd::Uid;

use crate::package::{self, Profile, Version};
use crate::setup;
use crate::story::Interrupt;
use neighbourhood::Neighbourhood;

/// Plays the scenario and cleans up; the error names the step that was not as it should be.
pub fn run(profile: Profile) -> Result<()> {
    ensure!(Uid::effective().is_root(), "the evening makes a system and namespaces for it: run it as root");
    setup::for_evening()?;
    let package = package::build(profile, &Version::default())?;
    let base = base::tarball()?;
    let interrupt = Interrupt::catch()?;
    let neighbourhood = Neighbourhood::new(&base, &package, &interrupt)?;
    scenario::play(&neighbourhood, &package, &interrupt)
}
