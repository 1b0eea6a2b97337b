//! Who may read a file that holds sequences.
//!
//! Where files have no owner and mode, whoever owns the folder decides, and nothing is said here.

use std::fs::Metadata;
use std::path::Path;

/// The permission bits of a file that others than its owner may read or change.
#[cfg(unix)]
pub fn shared_mode(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub fn shared_mode(_: &Metadata) -> Option<u32> {
    None
}

/// The number of the user whose file it is, where that is not the one whom this process acts for.
#[cfg(unix)]
pub(super) fn foreign_owner(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    let owner = metadata.uid();
    (owner != nix::unistd::geteuid().as_raw()).then_some(owner)
}

#[cfg(not(unix))]
pub(super) fn foreign_owner(_: &Metadata) -> Option<u32> {
    None
}

/// What makes a file its owner's alone.
pub fn chmod(path: &Path) -> String {
    format!("run: chmod 600 {}", shell_word(&path.display().to_string()))
}

/// Quoted if a shell would take it apart.
pub(super) fn shell_word(path: &str) -> String {
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
