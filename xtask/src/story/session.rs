//! A live connection to a service that answers in lines.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Background;
use super::Interrupt;

const PATIENCE: Duration = Duration::from_secs(5);

pub struct Session {
    to: Box<dyn Write>,
    lines: Receiver<String>,
    said: u32,
    _client: Option<Background>,
}

impl Session {
    /// `client`: the process that holds the connection, if one does.
    pub fn new(
        to: impl Write + 'static,
        from: impl Read + Send + 'static,
        client: Option<Background>,
    ) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { to: Box::new(to), lines, said: 0, _client: client }
    }

    /// Says a line; `false` where the connection has ended.
    pub fn say(&mut self, line: &str) -> bool {
        writeln!(self.to, "{line}").and_then(|()| self.to.flush()).is_ok()
    }

    /// The next line from there; `None` as soon as the connection has ended.
    pub fn hear(&mut self, patience: Duration, interrupt: &Interrupt) -> Result<Option<String>> {
        interrupt.wait_for("an answer of the service", patience, || match self.lines.try_recv() {
            Ok(line) => Ok(Some(Some(line))),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Ok(Some(None)),
        })
    }

    /// Whether what is said now comes back. `false` as soon as the connection has ended.
    pub fn answers(&mut self, interrupt: &Interrupt) -> Result<bool> {
        self.said += 1;
        let words = format!("are you there? ({})", self.said);
        if !self.say(&words) {
            return Ok(false);
        }
        while let Some(line) = self.hear(PATIENCE, interrupt)? {
            if line == words {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
