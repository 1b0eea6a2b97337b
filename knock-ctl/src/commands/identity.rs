//! Whom a command runs as.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, getgrouplist};

/// A user with all that belongs to it, looked up before the fork: the user database may lie behind locks and sockets.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) home: PathBuf,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    /// The supplementary groups.
    pub(super) groups: Vec<Gid>,
}

impl Identity {
    /// # Errors
    /// `NotFound` where there is no such user; others where the user database can't be read.
    pub(super) fn of(name: &str) -> io::Result<Self> {
        let user = User::from_name(name)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name:?} here"))
        })?;
        let groups = getgrouplist(&CString::new(name)?, user.gid)?;
        Ok(Self { name: user.name, home: user.dir, uid: user.uid, gid: user.gid, groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        let root = Identity::of("root").unwrap();
        assert!(root.uid.is_root());
        assert!(root.groups.contains(&root.gid));
        assert_eq!(Identity::of("no-such-user").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(Identity::of("ro\0ot").is_err());
    }
}
