//! The file system that pins live in.

use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::statfs;

use super::DatapathError;

pub const BPFFS: &str = "/sys/fs/bpf";

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Whether bpffs is mounted at [`BPFFS`].
pub fn is_mounted() -> bool {
    statfs(BPFFS).is_ok_and(|status| status.filesystem_type().0 == BPF_FS_MAGIC)
}

/// Mounts bpffs at [`BPFFS`] unless it is there. `true`: it was mounted now.
pub fn ensure_mounted() -> Result<bool, DatapathError> {
    if is_mounted() {
        return Ok(false);
    }
    mount(Some("bpf"), Path::new(BPFFS), Some("bpf"), MsFlags::empty(), None::<&str>).map_err(|errno| {
        DatapathError::Link(format!(
            "{BPFFS} is not a BPF file system, and mounting one there failed: {errno}; run `mount -t bpf bpf {BPFFS}`"
        ))
    })?;
    Ok(true)
}
