//! A shell at the other end of a session.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Interrupt, Session};

/// Runs one command after another.
pub struct Shell {
    session: Session,
    interrupt: Interrupt,
}

/// How a command ended and what it printed, on stdout and stderr.
pub struct Ran {
    pub status: u8,
    pub output: String,
}

impl Shell {
    /// `session` is with a POSIX shell.
    pub fn new(session: Session, interrupt: Interrupt) -> Self {
        Self { session, interrupt }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When the session ends, or the command hasn't within `limit`.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Ran> {
        const END: &str = "that was all: ";

        let lost = || format!("the session ended at `{command}`");
        let line = format!("({command}) </dev/null 2>&1; status=$?; echo; echo '{END}'$status");
        ensure!(self.session.say(&line), lost());
        let mut output = String::new();
        loop {
            let heard = self.session.hear(limit, &self.interrupt);
            let line = heard.with_context(|| format!("`{command}`"))?.with_context(lost)?;
            if let Some(status) = line.strip_prefix(END) {
                output.truncate(output.len().saturating_sub(1));
                let status = status.parse().with_context(|| format!("`{command}` ended with {status}"))?;
                return Ok(Ran { status, output });
            }
            output += &line;
            output.push('\n');
        }
    }

    /// Runs a command that has to succeed; returns what it printed.
    ///
    /// # Errors
    /// As [`Shell::run`], and when it fails, with what it printed.
    pub fn done(&mut self, command: &str, limit: Duration) -> Result<String> {
        let Ran { status, output } = self.run(command, limit)?;
        ensure!(status == 0, "not as it should be: `{command}` ended with {status}: {}", output.trim());
        Ok(output)
    }
}
