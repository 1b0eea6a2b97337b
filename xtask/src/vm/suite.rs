//! The kernels that can be asked for, by where Debian has them.

use std::fmt;

use clap::ValueEnum;

/// A Debian suite; its newest kernel for virtual machines is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    Bullseye,
    Bookworm,
    Trixie,
    /// Those of trixie-backports.
    Backports,
    Sid,
}

impl Suite {
    /// As apt's one-line style has it.
    pub fn source(self) -> &'static str {
        match self {
            Self::Bullseye => "http://deb.debian.org/debian-security bullseye-security main",
            Self::Bookworm => "http://deb.debian.org/debian-security bookworm-security main",
            Self::Trixie => "http://deb.debian.org/debian-security trixie-security main",
            Self::Backports => "http://deb.debian.org/debian trixie-backports main",
            Self::Sid => "http://deb.debian.org/debian sid main",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Backports => "backports",
            Self::Sid => "sid",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
