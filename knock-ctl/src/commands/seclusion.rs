//! What happens between fork and exec: the command gets no descriptor and no privilege of the controller.

use std::io;

use nix::unistd::{setgroups, setresgid, setresuid};
use tokio::process::Command;

use super::announcement::Ready;
use super::identity::Identity;

/// From linux/close_range.h.
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;

/// The command announces itself, and will have no descriptors but the standard ones, and run as this user, with its groups and without any
/// capability.
pub(super) fn seclude(command: &mut Command, identity: Option<Identity>, announcement: Option<Ready>) {
    let become_other = move || {
        if let Some(announcement) = &announcement {
            announcement.make();
        }
        close_descriptors_on_exec();
        identity.as_ref().map_or(Ok(()), assume)
    };
    // SAFETY: the closure makes system calls and reads memory that was there before the fork. It neither allocates nor
    // takes a lock; its errors are plain numbers.
    unsafe { command.pre_exec(become_other) };
}

/// Ours are all close-on-exec; this is for those that the controller itself inherited. Kernels before 5.11 refuse, and
/// then the command inherits those too.
fn close_descriptors_on_exec() {
    let first: libc::c_uint = 3;
    // SAFETY: marks descriptors, closes none, and touches no memory.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
}

fn assume(identity: &Identity) -> io::Result<()> {
    setgroups(&identity.groups)?;
    setresgid(identity.gid, identity.gid, identity.gid)?;
    setresuid(identity.uid, identity.uid, identity.uid)?;
    // The kernel takes root's capabilities away with its user ID, but not those that a service manager gave to a
    // controller that never was root.
    let none: libc::c_ulong = 0;
    let clear_all = libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong;
    // SAFETY: changes the capabilities of this process and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear_all, none, none, none) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
