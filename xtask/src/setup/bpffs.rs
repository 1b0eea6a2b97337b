//! The file system that BPF programs and maps are pinned in.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::workspace::{line, run};

const PATH: &str = "/sys/fs/bpf";

/// Mounts it where it is not mounted, as root; elsewhere the error says what to run.
pub fn mount() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading /proc/self/mounts")?;
    if is_mounted(&mounts) {
        return Ok(());
    }
    let mut mount = Command::new("mount");
    mount.args(["-t", "bpf", "bpf", PATH]);
    if !Uid::effective().is_root() {
        bail!("{PATH} is not mounted; run as root\n    {}", line(&mount));
    }
    run(&mut mount)
}

/// `mounts` as in proc_pid_mounts(5): device, mount point, type.
fn is_mounted(mounts: &str) -> bool {
    mounts.lines().any(|mount| {
        let mut fields = mount.split_whitespace().skip(1);
        (fields.next(), fields.next()) == (Some(PATH), Some("bpf"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bpf_file_system_at_the_usual_place_counts() {
        for (mounts, mounted) in [
            ("sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n", true),
            ("none /sys/fs/bpf bpf rw,mode=700 0 0\n", true),
            ("tmpfs /sys/fs/bpf tmpfs rw 0 0\n", false),
            ("bpf /sys/fs/bpf2 bpf rw 0 0\n", false),
            ("", false),
        ] {
            assert_eq!(is_mounted(mounts), mounted, "{mounts}");
        }
    }
}
