//! Whether this kernel is new enough.

use anyhow::{Context, Result};

/// The oldest kernel, by major and minor number, that has everything the program needs.
const OLDEST: (u32, u32) = (5, 10);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum KernelError {
    #[error("this is Linux {0}; knock-ctl needs Linux {major}.{minor} or newer", major = OLDEST.0, minor = OLDEST.1)]
    TooOld(String),
    #[error(
        "the kernel's release {0:?} begins with no version; knock-ctl needs Linux {major}.{minor} or newer",
        major = OLDEST.0, minor = OLDEST.1
    )]
    NoVersion(String),
}

/// An error where the running kernel is older than Linux 5.10, or does not say how old it is.
pub(super) fn require_kernel() -> Result<()> {
    let names = nix::sys::utsname::uname().context("cannot ask for the kernel's version")?;
    Ok(check_release(&names.release().to_string_lossy())?)
}

/// `release` as uname(2) gives it: the version, and behind it whatever the builder of the kernel wrote.
fn check_release(release: &str) -> Result<(), KernelError> {
    let version = version(release).ok_or_else(|| KernelError::NoVersion(release.to_owned()))?;
    if version < OLDEST { Err(KernelError::TooOld(release.to_owned())) } else { Ok(()) }
}

/// Major and minor number.
fn version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest.get(..end)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_enough_kernels_are_taken_whatever_their_builder_wrote() {
        for release in ["5.10.0", "5.10", "5.10-rc7", "6.1.0-32-amd64", "6.18.0-rc1+", "10.1"] {
            assert_eq!(check_release(release), Ok(()), "{release}");
        }
    }

    #[test]
    fn older_kernels_are_refused_by_their_release() {
        for release in ["5.9.0-1-amd64", "5.9", "5.1.10", "4.19.0", "2.6.60"] {
            let error = check_release(release).unwrap_err().to_string();
            assert_eq!(error, format!("this is Linux {release}; knock-ctl needs Linux 5.10 or newer"));
        }
    }

    #[test]
    fn what_is_no_version_is_refused_as_such() {
        for release in ["", "6", "six.one", "6.x", "-5.10", "5.-10", "99999999999.1", "linux-6.1"] {
            let error = check_release(release).unwrap_err();
            assert_eq!(error, KernelError::NoVersion(release.to_owned()), "{release}");
        }
        let error = KernelError::NoVersion("six".to_owned()).to_string();
        assert_eq!(
            error,
            "the kernel's release \"six\" begins with no version; knock-ctl needs Linux 5.10 or newer"
        );
    }

    #[test]
    fn the_running_kernel_says_its_version() {
        let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
        assert!(version(&release).is_some(), "{release}");
    }
}
