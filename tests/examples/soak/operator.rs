//! What goes on at the server meanwhile: reloads, kills, interfaces that flap, clocks that step.

use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use knock_tests::lab::{INTERFACE, Machine};
use knock_tests::site::{Controller, SSH, SecondInterface, Site, connect, connect_within, program, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock;
use crate::knockers::OPEN_FOR;
use crate::strangers::PUBLIC;
use crate::tally::{Event, Tally};

/// What each of them may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// For how long the server's cable is out.
const UNPLUGGED: Duration = Duration::from_millis(300);
/// Within which a reload comes to something or other.
const RELOADING: u64 = 200;

/// Has the controller, and takes it away.
pub struct Operator<'a> {
    site: &'a Site,
    tally: &'a Tally,
    cable: &'a RwLock<()>,
    commands: String,
    controller: Option<Controller>,
    attached: Instant,
    reloads: u32,
    flaps: u32,
}

impl<'a> Operator<'a> {
    /// Attaches to both interfaces. `commands` are the door's.
    pub fn begin(site: &'a Site, tally: &'a Tally, cable: &'a RwLock<()>, commands: String) -> Self {
        SecondInterface::add(&site.lab, SecondInterface::NAME);
        let mut operator = Self {
            site,
            tally,
            cable,
            commands,
            controller: None,
            attached: Instant::now(),
            reloads: 0,
            flaps: 0,
        };
        operator.configure("");
        operator.attach();
        operator
    }

    /// # Errors
    /// While there is none.
    pub fn controller(&self) -> Result<u32> {
        Ok(self.controller.as_ref().context("no controller")?.id())
    }

    /// How long the controller has lived.
    pub fn age(&self) -> Duration {
        self.attached.elapsed()
    }

    /// Another door, none, a file with an error, by SIGHUP: in turn. The door of the knockers is always the same.
    pub fn reload(&mut self) {
        self.reloads += 1;
        match self.reloads % 4 {
            1 => self.reload_to("[doors.web]\nsequence = [7100, 8200, 9300]\nopens = [\"443/tcp\"]\n", 0),
            2 => self.reload_to("[doors.web]\nsequence = [7100,\n", 1),
            3 => self.hang_up(),
            _ => self.reload_to("", 0),
        }
        self.configure("");
        self.tally.count(Event::Reloaded);
    }

    /// Back to the configuration of the beginning.
    pub fn reload_as_begun(&self) {
        self.reload_to("", 0);
    }

    /// Ends the controller by SIGKILL, every second time while it reloads, and attaches anew.
    pub fn kill(&mut self) {
        let reload = fastrand::bool()
            .then(|| self.site.lab.spawn_in(Machine::Server, &[text(&program()), "reload"]).ok())
            .flatten();
        if reload.is_some() {
            thread::sleep(Duration::from_millis(fastrand::u64(..RELOADING)));
        }
        if let Some(controller) = self.controller.take() {
            controller.kill();
        }
        self.tally.count(Event::Killed);
        self.attach();
    }

    /// An interface that goes and returns, one that is set down, a cable that is taken out: in turn.
    pub fn flap(&mut self) {
        self.flaps += 1;
        let lab = &self.site.lab;
        match self.flaps % 3 {
            1 => {
                SecondInterface::delete(lab);
                SecondInterface::add(lab, SecondInterface::NAME);
                self.expect_second_closed();
            }
            2 => {
                let server = lab.namespace(Machine::Server);
                server.ip(&format!("link set {} down", SecondInterface::NAME)).expect("an interface");
                SecondInterface::bring_up(lab, SecondInterface::NAME);
                self.expect_second_closed();
            }
            _ => self.unplug(),
        }
        self.tally.count(Event::Flapped);
    }

    pub fn step_clock(&self, by: Duration) -> Result<()> {
        clock::step(by)?;
        self.tally.count(Event::Stepped);
        Ok(())
    }

    /// The controller ends, and the filter goes.
    pub fn detach(&mut self) {
        let output = self.site.knock_ctl(&["detach"]);
        self.tally.expect(output.status.success(), &format!("detach: {output:?}"));
        if let Some(mut controller) = self.controller.take() {
            let status = controller.wait();
            self.tally
                .expect(status.success(), &format!("the controller that was detached ended with {status}"));
        }
        self.tally.expect(self.site.is_without_filter(), "the filter or a pin is left after detach");
        let second = self.site.attached_mode(SecondInterface::NAME);
        self.tally.expect(second.is_none(), "the second interface is filtered after detach");
    }

    fn attach(&mut self) {
        self.controller = Some(self.site.attach_as_configured());
        self.attached = Instant::now();
    }

    fn reload_to(&self, doors: &str, expected: i32) {
        self.configure(doors);
        let output = self.site.knock_ctl(&["reload"]);
        self.tally
            .expect(output.status.code() == Some(expected), &format!("reload to {doors:?}: {output:?}"));
    }

    fn hang_up(&self) {
        self.configure("");
        if let Some(controller) = &self.controller {
            let id = Pid::from_raw(controller.id().cast_signed());
            self.tally.expect(kill(id, Signal::SIGHUP).is_ok(), "the controller has ended by itself");
        }
    }

    fn configure(&self, doors: &str) {
        let log = self.site.file("knock.log");
        self.site.configure(&format!(
            "[filter]\ninterfaces = [\"{INTERFACE}\", \"{}\"]\npolicy = \"drop\"\npublic = [\"{PUBLIC}/tcp\"]\n\
             [log]\nstages = true\ndrops = true\nfile = {log:?}\n{doors}\n\
             [doors.ssh]\nsequence = [7000, \"8000/udp\", 9000]\nopens = [\"{SSH}/tcp\"]\nopen_for = \"{}s\"\n{}",
            SecondInterface::NAME,
            OPEN_FOR.as_secs(),
            self.commands
        ));
    }

    fn unplug(&self) {
        let lab = &self.site.lab;
        let _unplugged = self.cable.write().unwrap_or_else(PoisonError::into_inner);
        lab.set_plugged(Machine::Server, false).expect("a cable");
        thread::sleep(UNPLUGGED);
        lab.set_plugged(Machine::Server, true).expect("a cable");
        for server in [Machine::Server.v4(), Machine::Server.v6()] {
            let answer = connect_within(lab, Machine::Stranger, server, PUBLIC, LIMIT);
            self.tally
                .expect(answer.is_accepted(), &format!("{server} is not back with its cable: {answer:?}"));
        }
    }

    /// Once it is filtered again; whoever comes by it has never knocked.
    fn expect_second_closed(&self) {
        let returned = Instant::now();
        while self.site.attached_mode(SecondInterface::NAME).as_deref() != Some("xdp") {
            if returned.elapsed() > LIMIT {
                return self.tally.broken("the second interface has returned and is not filtered");
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.tally.count(Event::Tried);
        let to = SecondInterface::ADDRESS.parse().expect("an address");
        let answer = connect(&self.site.lab, Machine::Client, to, SSH);
        if answer.is_silence() {
            self.tally.count(Event::Refused);
        } else {
            self.tally.broken(&format!("by the second interface a stranger got an answer: {answer:?}"));
        }
    }
}
