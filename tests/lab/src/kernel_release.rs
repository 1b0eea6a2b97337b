//! Versions of the kernel, by which tests know what it lacks.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};
use nix::sys::utsname::uname;

/// Major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelRelease(pub u32, pub u32);

impl KernelRelease {
    /// That of the kernel that runs here.
    ///
    /// # Errors
    /// When it doesn't say.
    pub fn running() -> Result<Self> {
        uname()?.release().to_string_lossy().parse()
    }
}

impl fmt::Display for KernelRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for KernelRelease {
    type Err = Error;

    /// From what uname(2) gives: "6.1.0-56-cloud-amd64".
    fn from_str(release: &str) -> Result<Self> {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            bail!("{release:?} begins with no version");
        };
        Ok(Self(major, minor))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_release_begins_with_its_version_whatever_its_builder_wrote() {
        for release in ["6.1.0-56-cloud-amd64", "6.1", "6.1-rc3", "6.1.192+deb12-cloud-amd64"] {
            assert_eq!(release.parse::<KernelRelease>().unwrap(), KernelRelease(6, 1), "{release}");
        }
        assert!("six".parse::<KernelRelease>().is_err());
        assert!(KernelRelease(5, 18) > KernelRelease(5, 9));
        KernelRelease::running().unwrap();
    }
}
