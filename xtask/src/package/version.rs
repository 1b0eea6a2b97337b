//! The version of a package and of the program in it.

use std::fmt;
use std::process::Command;
use std::str::FromStr;

use crate::workspace;

/// Compiled into the program, see knock-ctl/src/version.rs.
const VARIABLE: &str = "KNOCK_CTL_VERSION";

/// An upstream version as deb-version(7) has it, without an epoch or a revision; the workspace's unless said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// The next release of the workspace, as it were.
    pub fn next() -> Self {
        let minor: u32 = env!("CARGO_PKG_VERSION_MINOR").parse().unwrap_or_default();
        Self(format!("{}.{}.0", env!("CARGO_PKG_VERSION_MAJOR"), minor + 1))
    }

    /// A cargo whose programs say that they are of this version.
    pub fn cargo(&self) -> Command {
        let mut cargo = workspace::cargo();
        if *self == Self::default() {
            cargo.env_remove(VARIABLE);
        } else {
            cargo.env(VARIABLE, &self.0);
        }
        cargo
    }
}

impl Default for Version {
    fn default() -> Self {
        Self(env!("CARGO_PKG_VERSION").to_owned())
    }
}

impl FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".+~".contains(c);
        if text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a version is a digit, and then letters, digits and any of . + ~, as in 0.2.0")
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_would_not_take_is_refused() {
        for (text, is_taken) in [
            ("0.2.0", true),
            ("1.0~rc1+b2", true),
            ("", false),
            ("v1", false),
            ("1/2", false),
            ("1-2", false),
            ("1:2", false),
        ] {
            assert_eq!(text.parse::<Version>().is_ok(), is_taken, "{text}");
        }
    }
}
