//! The kernel's file systems and modules.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

/// Each file system with its place.
const FILE_SYSTEMS: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("bpf", "/sys/fs/bpf"),
];

pub fn mount_all() -> Result<()> {
    for (kind, place) in FILE_SYSTEMS {
        fs::create_dir_all(place).with_context(|| format!("making {place}"))?;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mounting {place}"))?;
    }
    Ok(())
}

pub fn load_module(path: &str) -> Result<()> {
    let file = File::open(Path::new(path)).with_context(|| path.to_owned())?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        // Another module's dependency may have been loaded by the kernel itself.
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("loading {path}")),
    }
}

/// Returns only why it failed.
pub fn power_off() -> Errno {
    match reboot(RebootMode::RB_POWER_OFF) {
        Err(error) => error,
    }
}
