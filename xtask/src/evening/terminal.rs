//! A terminal whose screen can be read.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use knock_lab::Namespace;
use tempfile::TempDir;

use crate::story::{Interrupt, ask};

const LIMIT: Duration = Duration::from_secs(20);

/// Closed when dropped.
pub struct Terminal<'a> {
    machine: &'a Namespace,
    folder: TempDir,
    interrupt: Interrupt,
}

impl<'a> Terminal<'a> {
    /// With `program` in it.
    pub fn start(machine: &'a Namespace, program: &Command, interrupt: &Interrupt) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("knock-terminal-").tempdir()?;
        let terminal = Self { machine, folder, interrupt: interrupt.clone() };
        let words = ["new-session", "-d", "-x", "100", "-y", "22"].map(OsStr::new);
        terminal.tmux(words.into_iter().chain([program.get_program()]).chain(program.get_args()))?;
        Ok(terminal)
    }

    /// The screen as soon as all of this is on it.
    pub fn wait_for(&self, texts: &[&str]) -> Result<String> {
        let mut screen = String::new();
        let shown = self.interrupt.wait_for("what is to be seen", LIMIT, || {
            screen = self.tmux(["capture-pane", "-p"].map(OsStr::new))?;
            Ok(texts.iter().all(|text| screen.contains(text)).then_some(()))
        });
        shown.with_context(|| format!("the terminal shows\n{screen}"))?;
        Ok(screen)
    }

    fn tmux<'b>(&self, words: impl IntoIterator<Item = &'b OsStr>) -> Result<String> {
        let mut tmux = self.command();
        let answer = ask(tmux.args(words), LIMIT, &self.interrupt)?;
        ensure!(answer.success, "tmux failed");
        Ok(answer.output)
    }

    /// tmux(1) with a server of its own and nobody's settings.
    fn command(&self) -> Command {
        let mut tmux = self.machine.command("tmux");
        tmux.args(["-u", "-f", "/dev/null", "-S"]).arg(self.folder.path().join("socket"));
        tmux
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        // It may have ended with what it showed.
        let _ = self.command().arg("kill-server").output();
    }
}
