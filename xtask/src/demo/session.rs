//! A live connection to the service, over which what is said comes back.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::interrupt::Interrupt;
use super::process::Background;

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

    /// Whether what is said now comes back. `false` as soon as the connection has ended.
    pub fn answers(&mut self, interrupt: &Interrupt) -> Result<bool> {
        self.said += 1;
        let words = format!("are you there? ({})", self.said);
        if writeln!(self.to, "{words}").and_then(|()| self.to.flush()).is_err() {
            return Ok(false);
        }
        interrupt.wait_for("an answer of the service", PATIENCE, || match self.lines.try_recv() {
            Ok(line) => Ok((line == words).then_some(true)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Ok(Some(false)),
        })
    }
}
