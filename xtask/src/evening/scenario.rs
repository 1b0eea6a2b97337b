//! The story of the evening, which is checked as it is told.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::neighbourhood::{HOME, Neighbourhood};
use super::user::{LIMIT, User};
use crate::story::{Interrupt, Shell, Timeline};

/// knockd's own, as its package brings it.
const OLD_SEQUENCE: &str = "7000 8000 9000";
/// What the user wants, and believes to have written.
const SEQUENCE: &str = "41873 5296 28451";

/// What the file itself proposes: the filter opens the port in place of iptables.
const AS_PROPOSED: &str =
    "sed -i '/^start_command.*iptables/d; s/^#opens/opens/; s/^#revokes/revokes/' /etc/knock/knock.toml";
/// What check has warned of, and an end to what is opened.
const AS_ADVISED: &str = "sed -i '/^strict/d; s/^#open_for.*/open_for = \"12s\"/' /etc/knock/knock.toml";
/// Two digits are in the wrong place.
const WITH_A_SLIP: &str = "sed -i 's/7000, 8000, 9000/41873, 5269, 28451/; s/9000, 8000, 7000/28451, 5269, 41873/' /etc/knock/knock.toml";
const CORRECTION: &str = "sed -i 's/5269/5296/' /etc/knock/knock.toml";

/// Fails at the first step that is not as it should be.
pub fn play(neighbourhood: &Neighbourhood, package: &Path, interrupt: &Interrupt) -> Result<()> {
    let timeline = Timeline::begin();
    let user = User::new(neighbourhood, &timeline, interrupt);
    let evening = Evening { timeline: &timeline, user, interrupt };
    let mut first = evening.come_in()?;
    evening.install(&mut first, package)?;
    evening.import(&mut first)?;
    evening.err(&mut first)?;
    let mut second = evening.correct(&mut first)?;
    evening.look(&mut second)?;
    evening.hand_over(&mut first, &mut second)
}

struct Evening<'a> {
    timeline: &'a Timeline,
    user: User<'a>,
    interrupt: &'a Interrupt,
}

impl Evening<'_> {
    /// As on every other evening: by knockd.
    fn come_in(&self) -> Result<Shell> {
        let is_closed = self.user.is_shut_out()?;
        self.expect(
            is_closed,
            "server",
            "a fresh Debian: sshd, iptables that close it, and knockd with its own file",
        )?;
        self.user.knocks(OLD_SEQUENCE)?;
        let shell = self.user.logs_in()?;
        self.timeline.say("home", "knockd lets us in; this first session stays to the end");
        Ok(shell)
    }

    fn install(&self, shell: &mut Shell, package: &Path) -> Result<()> {
        let name = package.file_name().context("a package without a name")?.to_string_lossy();
        self.user.types(shell, &format!("apt install ./{name}"))?;
        let is_active = shell.run("systemctl is-active knock-ctl.service", LIMIT)?.output.trim() == "active";
        let status = shell.run("knock-ctl status", LIMIT)?.status;
        self.expect(!is_active && status == 3, "server", "it is installed, and nothing has begun")
    }

    fn import(&self, shell: &mut Shell) -> Result<()> {
        self.user.types(shell, "systemctl disable --now knockd")?;
        self.user.types(shell, "umask 077; knock-ctl import /etc/knockd.conf > /etc/knock/knock.toml")?;
        let said = self.user.types(shell, "knock-ctl check")?;
        let warnings: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
        ensure!(warnings.iter().any(|line| line.contains("published")), "`check` warns of nothing: {said}");
        self.timeline.show(warnings.into_iter().filter(|line| !line.contains("closeSSH")));
        for command in [AS_PROPOSED, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT", AS_ADVISED, WITH_A_SLIP]
        {
            self.user.types(shell, command)?;
        }
        self.check(shell)
    }

    /// The configuration is sound, and not what the user believes.
    fn err(&self, first: &mut Shell) -> Result<()> {
        self.user.begins(first, "knock-ctl attach --confirm 10s")?;
        let waits = self.user.reads(first, "is undone in")?;
        self.timeline.show(waits.lines());
        self.user.knocks(SEQUENCE)?;
        let is_out = self.user.is_shut_out()?;
        self.expect(is_out, "home", "ssh: nothing answers. Two digits of the file are in the wrong place")?;
        first.done("true", LIMIT)?;
        self.timeline.say("home", "the first session lives on");
        let undone = self.user.reads(first, "it goes off")?;
        self.timeline.show(undone.lines());
        self.user.logs_in()?;
        self.timeline.say("home", "ssh answers again, without anybody's doing");
        Ok(())
    }

    /// Returns a session that has come in by the door.
    fn correct(&self, first: &mut Shell) -> Result<Shell> {
        self.user.types(first, CORRECTION)?;
        self.check(first)?;
        self.user.begins(first, "knock-ctl attach --confirm 60s")?;
        self.user.reads(first, "is undone in")?;
        let is_closed = self.user.is_shut_out()?;
        self.expect(is_closed, "home", "ssh, without a knock: nothing answers")?;
        self.user.knocks(SEQUENCE)?;
        let mut second = self.user.logs_in()?;
        self.timeline.say("home", "ssh lets us in: a second session");
        let said = self.user.types(&mut second, "knock-ctl confirm")?;
        self.timeline.show(said.lines());
        Ok(second)
    }

    fn look(&self, second: &mut Shell) -> Result<()> {
        let home = HOME.to_string();
        let terminal = self.user.watches("knock-ctl top")?;
        let screen = terminal.wait_for(&["; controller", "In: 1", &home])?;
        self.timeline.show(screen.lines().map(str::trim_end).filter(|line| !line.is_empty()));
        drop(terminal);
        self.interrupt.wait_for("the end of the grant", LIMIT, || {
            let listing: Value = serde_json::from_str(&second.done("knock-ctl grants --json", LIMIT)?)?;
            Ok(listing["grants"].as_array().is_some_and(Vec::is_empty).then_some(()))
        })?;
        self.timeline.say("server", "the door has closed, after its 12 seconds");
        let is_closed = self.user.is_shut_out()?;
        self.expect(is_closed, "home", "ssh: nothing answers")?;
        second.done("true", LIMIT)?;
        self.timeline.say("home", "the second session lives on");
        Ok(())
    }

    /// From the controller in the first session to the service.
    fn hand_over(&self, first: &mut Shell, second: &mut Shell) -> Result<()> {
        self.timeline.say("server", "Ctrl-C");
        first.done("pid=$(cat attach.pid); kill -INT $pid; tail --pid $pid -f /dev/null", LIMIT)?;
        let last = first.done("tail -n 1 attach.log", LIMIT)?;
        ensure!(last.contains("the filter stays on"), "not as it should be: Ctrl-C: {last}");
        self.timeline.show(last.lines());
        self.user.types(second, "systemctl enable --now knock-ctl")?;
        let status = self.user.types(second, "systemctl show --property StatusText knock-ctl")?;
        ensure!(status.contains("Filtering eth0"), "not as it should be: the service: {status}");
        self.timeline.show(status.lines());
        let is_closed = self.user.is_shut_out()?;
        self.expect(is_closed, "home", "ssh, without a knock: nothing answers")?;
        self.user.knocks(SEQUENCE)?;
        self.user.logs_in()?;
        self.timeline.say("home", "ssh lets us in");
        for session in [first, second] {
            session.done("true", LIMIT)?;
        }
        self.timeline.say("home", "and the sessions before live on. Good night");
        Ok(())
    }

    /// Shows what check says of the door to ssh.
    fn check(&self, shell: &mut Shell) -> Result<()> {
        let said = self.user.types(shell, "knock-ctl check")?;
        let door = said.lines().skip_while(|line| !line.starts_with("Door openSSH"));
        self.timeline.show(door.take_while(|line| !line.is_empty()));
        Ok(())
    }

    fn expect(&self, is_so: bool, actor: &str, what: &str) -> Result<()> {
        self.timeline.expect(is_so, actor, what)
    }
}
