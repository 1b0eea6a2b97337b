//! A command that runs beside the test.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A running command and what it has said. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Process {
    /// Starts it; it reads nothing.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(command: Command) -> Result<Self> {
        Self::start(command, Stdio::null())
    }

    /// Starts it, to be told something by [`Process::say`].
    ///
    /// # Errors
    /// When it can't be started.
    pub fn converse(command: Command) -> Result<Self> {
        Self::start(command, Stdio::piped())
    }

    fn start(mut command: Command, input: Stdio) -> Result<Self> {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let (sender, lines) = channel();
        let output = child.stdout.take().context("no stdout")?;
        let errors = child.stderr.take().context("no stderr")?;
        forward(output, sender.clone());
        forward(errors, sender);
        Ok(Self { child, lines, said: Vec::new() })
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// When it has closed that, or never had any.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("it was started to read nothing")?;
        writeln!(input, "{line}").context("it reads no more")
    }

    /// The next line, of stdout or stderr, that contains `text`.
    ///
    /// # Errors
    /// When it has not come within `limit`, or the process has closed its output; both tell what it said instead.
    pub fn expect_line(&mut self, text: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("no {text:?} within {limit:?}; it said:\n{}", self.said.join("\n"))
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("it ended without {text:?}; it said:\n{}", self.said.join("\n"))
                }
            }
        }
    }

    /// All lines so far, of stdout and stderr.
    pub fn said(&mut self) -> &[String] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When the process has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("no such process id")?;
        kill(Pid::from_raw(id), signal).context("sending a signal")
    }

    /// Waits until the process has ended and all it said has arrived.
    ///
    /// # Errors
    /// When it is still saying or doing something after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("it has not ended within {limit:?}"),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.child.wait().context("waiting for a process")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}
