//! What the machine is to do.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};

/// The file with the steps, one a line.
pub const PLAN: &str = "/plan";

/// The file with the paths of kernel modules, one a line, each behind those that it needs.
pub const MODULES: &str = "/modules";

/// A program that is run to its end. Written as whole seconds and words, with a space between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// After it the program is killed.
    pub limit: Duration,
    /// The program's path and its arguments, which hold no spaces.
    pub words: Vec<String>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.limit.as_secs(), self.words.join(" "))
    }
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let (seconds, words) = line.split_once(' ').with_context(|| format!("{line:?} is no step"))?;
        let seconds = seconds.parse().with_context(|| format!("{line:?} begins with no time"))?;
        let words = words.split(' ').map(str::to_owned).collect();
        Ok(Self { limit: Duration::from_secs(seconds), words })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_was_written() {
        let words = ["/tests/namespaces", "--exact", "doors::one"].map(str::to_owned).into();
        let step = Step { limit: Duration::from_secs(90), words };
        assert_eq!(step.to_string().parse::<Step>().unwrap(), step);
    }

    #[test]
    fn what_has_no_time_or_no_words_is_no_step() {
        for line in ["", "90", "soon /bin/true", "/bin/true 90"] {
            assert!(line.parse::<Step>().is_err(), "{line}");
        }
    }
}
