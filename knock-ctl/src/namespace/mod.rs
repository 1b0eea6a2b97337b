//! The network namespace that a thread is in, by which pins, runtime files and journals are told apart.

mod cookie;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// A network namespace as the kernel tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkNamespace {
    inode: u64,
    cookie: Option<NamespaceCookie>,
}

/// A number that no other network namespace has, or will have, before the machine goes down. An inode is given out again as
/// soon as its namespace is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamespaceCookie(u64);

impl NetworkNamespace {
    /// That of the calling thread.
    pub fn current() -> io::Result<Self> {
        Ok(Self {
            inode: inode("/proc/thread-self/ns/net")?,
            cookie: cookie::cookie().ok().map(NamespaceCookie),
        })
    }

    /// `net-INODE`.
    pub fn name(&self) -> String {
        format!("net-{}", self.inode)
    }

    /// `None` before Linux 5.14.
    pub fn cookie(&self) -> Option<NamespaceCookie> {
        self.cookie
    }

    /// Whether it is the one that the machine, or the container, came up with.
    pub fn is_first(&self) -> bool {
        inode("/proc/1/ns/net").is_ok_and(|first| first == self.inode)
    }
}

impl NamespaceCookie {
    #[cfg(test)]
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for NamespaceCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn inode(path: &str) -> io::Result<u64> {
    fs::metadata(path)
        .map(|metadata| metadata.ino())
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_the_same_from_one_time_to_the_next() {
        let namespace = NetworkNamespace::current().unwrap();
        assert_eq!(NetworkNamespace::current().unwrap(), namespace);
        let link = fs::read_link("/proc/self/ns/net").unwrap();
        assert_eq!(link.to_str().unwrap(), format!("net:[{}]", namespace.inode));
        assert_eq!(namespace.name(), format!("net-{}", namespace.inode));
    }
}
