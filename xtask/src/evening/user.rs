//! The user, who types on the server by ssh and knocks from home.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::neighbourhood::{Neighbourhood, SERVER};
use super::terminal::Terminal;
use crate::story::{Interrupt, Shell, Timeline, ask};

/// More than any command takes.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Less than the time for which the door is open.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);

/// After this long without an answer the user takes ssh for closed.
const SILENCE: Duration = Duration::from_secs(2);

const SERVER_NAME: &str = "server";

/// Everything that is typed is told.
pub struct User<'a> {
    neighbourhood: &'a Neighbourhood,
    timeline: &'a Timeline,
    interrupt: &'a Interrupt,
}

impl<'a> User<'a> {
    pub fn new(neighbourhood: &'a Neighbourhood, timeline: &'a Timeline, interrupt: &'a Interrupt) -> Self {
        Self { neighbourhood, timeline, interrupt }
    }

    /// Types a command on the server that has to succeed; returns what it printed.
    pub fn types(&self, shell: &mut Shell, command: &str) -> Result<String> {
        self.timeline.say(SERVER_NAME, &format!("# {command}"));
        shell.done(command, LIMIT)
    }

    /// Begins a command on the server that goes on; what it logs is in `attach.log` there, its number in `attach.pid`.
    pub fn begins(&self, shell: &mut Shell, command: &str) -> Result<()> {
        self.timeline.say(SERVER_NAME, &format!("# {command}"));
        shell.done(&format!("{command} > attach.log 2>&1 & echo $! > attach.pid"), LIMIT)?;
        Ok(())
    }

    /// The line of its log with `text`, as soon as there is one.
    pub fn reads(&self, shell: &mut Shell, text: &str) -> Result<String> {
        self.interrupt.wait_for(&format!("waiting for {text:?} in the log"), LIMIT, || {
            let found = shell.run(&format!("grep -m 1 -F '{text}' attach.log"), LIMIT)?;
            Ok((found.status == 0).then_some(found.output))
        })
    }

    /// The stock client's work is told as it would be typed.
    pub fn knocks(&self, sequence: &str) -> Result<()> {
        self.timeline.say("home", &format!("$ knock server {sequence}"));
        let mut knock = self.neighbourhood.at_home("knock");
        knock.arg(SERVER.to_string()).args(sequence.split(' '));
        ensure!(ask(&mut knock, LIMIT, self.interrupt)?.success, "the `knock` client failed");
        Ok(())
    }

    /// A session in which commands run.
    pub fn logs_in(&self) -> Result<Shell> {
        self.session(LOGIN_LIMIT)?.context("not as it should be: home: ssh does not answer")
    }

    /// Whether ssh does not answer.
    pub fn is_shut_out(&self) -> Result<bool> {
        Ok(self.session(SILENCE)?.is_none())
    }

    fn session(&self, patience: Duration) -> Result<Option<Shell>> {
        let mut session = self.neighbourhood.ssh(patience)?;
        let is_open = session.say("echo in") && session.hear(LIMIT, self.interrupt)?.is_some();
        Ok(is_open.then(|| Shell::new(session, self.interrupt.clone())))
    }

    /// A program of the server's in a terminal at home.
    pub fn watches(&self, program: &str) -> Result<Terminal<'_>> {
        self.timeline.say("home", &format!("$ ssh -t root@server {program}"));
        self.neighbourhood.ssh_terminal(program, LOGIN_LIMIT, self.interrupt)
    }
}
