//! The controller's loop: it notices what the kernel program has done, and does what is due.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use knock_common::address::Address;
use knock_common::event::{Event, EventKind, Refusal};
use knock_common::grant::Granted;
use knock_common::rules::{DoorId, steps_taken};
use knock_common::time::{Boottime, Deadline};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::bring_up::{Attached, indices, interface_name};
use super::connections::{self, ClosedPorts};
use super::doors::Doors;
use super::notice::Notice;
use super::perf::{self, Signal};
use super::protocols::SeenProtocols;
use super::socket::{self, Pending, Reply, Request};
use super::{completions, trace};
use crate::clock::boottime;
use crate::commands::{CommandRunner, Limits};
use crate::datapath::{Maps, Pins, Variant, detach};
use crate::journal::Journal;
use crate::runtime::{Position, RuntimeDirectory};
use crate::sockets;

/// How often the controller looks for what no signal told it of.
const LOOK: Duration = Duration::from_secs(1);
/// How often it holds the open doors against the whole table of grants, in looks: completions and deadlines tell of nearly
/// everything, and a large table takes a while to read.
const RECONCILE_EVERY: u64 = 10;
/// How often it renews the flows of connections whose sockets exist, in looks.
const RENEW_EVERY: u64 = 60;
/// Followers of events that fall this far behind lose some.
const NOTICES: usize = 4096;
/// How long the stop commands may take that a detached filter leaves due.
const LAST_COMMANDS: Duration = Duration::from_secs(60);
/// A grant older than this was opened under an earlier controller.
const FRESH_SECONDS: u32 = 10;

struct Watch {
    maps: Maps,
    pins: Pins,
    directory: RuntimeDirectory,
    protected: ClosedPorts,
    doors: Doors,
    position: Position,
    notices: broadcast::Sender<Notice>,
    protocols: SeenProtocols,
    looks: u64,
}

/// Why the loop ends.
enum End {
    /// The filter stays.
    Leave,
    /// The filter is off everywhere; whoever asked for it is being told.
    Detached(oneshot::Receiver<()>),
}

pub(super) async fn watch(attached: Attached) -> Result<ExitCode> {
    let Attached { config, mut program, maps, pins, directory, lock, protected } = attached;
    let _lock = lock;
    if program.variant() == Variant::Trace {
        trace::print(program.ebpf_mut()).context("cannot read what the kernel program logs")?;
    }
    let mut signals = perf::signals(program.take_perf_events()?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (journal, left_open) = Journal::open(&journal_path(&pins)?)?;
    let limits = Limits {
        running: NonZeroUsize::new(config.limits.commands as usize).unwrap_or(NonZeroUsize::MIN),
        queued: config.limits.queued_commands as usize,
    };
    let (runner, mut outcomes) = CommandRunner::new(limits);
    let mut doors = Doors::new(&config, journal, runner);
    doors.resume(left_open);
    let (notices, _) = broadcast::channel(NOTICES);
    let mut requests = socket::serve(&directory, notices.clone())?;
    let position = Position::load(&directory).unwrap_or_else(|error| {
        log::warn!("{error}");
        Position::default()
    });
    let mut watch = Watch {
        maps,
        pins,
        directory,
        protected,
        doors,
        position,
        notices,
        protocols: SeenProtocols::default(),
        looks: 0,
    };
    watch.look()?;
    log::info!("watching; the filter stays on when this ends, `knock-ctl detach` takes it off");

    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        let next = watch.until_next_deadline();
        tokio::select! {
            _ = interrupt.recv() => break End::Leave,
            _ = terminate.recv() => break End::Leave,
            _ = look.tick() => watch.look()?,
            Some(signal) = signals.recv() => watch.take(signal)?,
            Some(outcome) = outcomes.recv() => watch.doors.ended(outcome),
            Some(pending) = requests.recv() => {
                if let Some(written) = watch.answer(pending)? {
                    break End::Detached(written);
                }
            }
            () = tokio::time::sleep_until(next) => watch.close_due()?,
        }
        watch.publish();
    };
    match end {
        End::Leave => {
            log::info!(
                "the controller ends, the filter stays on and doors still open; `knock-ctl attach` goes on, \
                 `knock-ctl detach` takes it off"
            );
        }
        End::Detached(written) => {
            let _ = tokio::time::timeout(LOOK, written).await;
            let finish = async {
                while watch.doors.unfinished() > 0
                    && let Some(outcome) = outcomes.recv().await
                {
                    watch.doors.ended(outcome);
                    watch.doors.retry_stops();
                    watch.publish();
                }
            };
            if tokio::time::timeout(LAST_COMMANDS, finish).await.is_err() {
                log::warn!(
                    "some stop commands have not ended; those that have not begun run at the next attach"
                );
            }
            log::info!("the filter is off");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One journal for each network namespace; the plain name is that of the namespace the machine came up with.
fn journal_path(pins: &Pins) -> Result<PathBuf> {
    let inode =
        |path: &str| fs::metadata(path).map(|metadata| metadata.ino()).with_context(|| path.to_owned());
    let own = inode("/proc/thread-self/ns/net")?;
    let name = if inode("/proc/1/ns/net").is_ok_and(|first| first == own) {
        "journal".to_owned()
    } else {
        format!("journal-{}", pins.namespace())
    };
    Ok(PathBuf::from("/var/lib/knock").join(name))
}

impl Watch {
    /// Looks at everything that a signal could have told of, and was not.
    fn look(&mut self) -> Result<()> {
        match sockets::listeners() {
            Ok(ports) => {
                self.maps.set_listeners(ports.into_iter().map(|port| (port.protocol, port.number.get())));
            }
            Err(error) => log::warn!("listening sockets are not known: {error}"),
        }
        if self.looks.is_multiple_of(RENEW_EVERY) && self.looks > 0 {
            connections::renew(&self.maps, &self.protected)?;
        }
        self.protocols.look(&self.maps)?;
        self.read_completions()?;
        if self.looks.is_multiple_of(RECONCILE_EVERY) {
            self.reconcile()?;
        }
        self.looks += 1;
        self.close_due()?;
        self.doors.retry_stops();
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        for notice in self.doors.take_notices() {
            self.tell(notice);
        }
    }

    /// It is no error that nobody follows.
    fn tell(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }

    fn take(&mut self, signal: Signal) -> Result<()> {
        match signal {
            Signal::InPassing(event) => {
                self.notice_in_passing(&event);
                Ok(())
            }
            Signal::Completions => self.read_completions(),
            Signal::Lost(count) => {
                log::warn!(
                    "{count} signals of the kernel program were lost; completions among them are still found"
                );
                self.tell(Notice::new("lost").count(count));
                self.read_completions()
            }
        }
    }

    fn notice_in_passing(&self, event: &Event) {
        match EventKind::from_number(event.kind) {
            Some(EventKind::Stage) => {
                let (name, stage) = (self.doors.name(event.door), steps_taken(event.detail));
                log::info!("{}: {name}: Stage {stage}", event.source);
                self.tell(Notice::of("stage", event.source.to_ip(), &name).stage(stage));
            }
            Some(EventKind::SourceHeld) => {
                log::info!("{}: held for scanning", event.source);
                self.tell(Notice::new("source_held").address(event.source.to_ip()));
            }
            _ => {}
        }
    }

    fn read_completions(&mut self) -> Result<()> {
        let batch = completions::read(&self.maps, &self.position)?;
        if batch.lost > 0 {
            log::warn!("{} completions were overwritten before they were read", batch.lost);
            self.tell(Notice::new("lost").count(batch.lost));
            self.looks = self.looks.next_multiple_of(RECONCILE_EVERY);
        }
        if batch.position != self.position {
            // Before anything is run, so that nothing runs twice.
            batch.position.save(&self.directory)?;
            self.position = batch.position;
        }
        for event in &batch.events {
            self.complete(event)?;
        }
        Ok(())
    }

    fn complete(&mut self, event: &Event) -> Result<()> {
        let (source, door) = (event.source, event.door);
        let time = Boottime::from_nanoseconds(event.time);
        let deadline = Deadline::from_nanoseconds(event.deadline);
        match EventKind::from_number(event.kind) {
            Some(EventKind::Open) => {
                let deadline = (deadline != Deadline::PASSED).then_some(deadline);
                self.close_if_over(source, door, time)?;
                self.doors.completed(source, door, time, deadline, boottime());
            }
            Some(EventKind::Refresh) => self.doors.refreshed(source, door, deadline),
            Some(EventKind::Close) => {
                // It may have been opened again since.
                if self.valid_grant(source, door, boottime())?.is_none() {
                    self.doors.close(source, door, "close");
                }
            }
            Some(EventKind::GrantRefused) => {
                let name = self.doors.name(door);
                let reason = match event.detail {
                    detail if detail == Refusal::SourceFull as u32 => "this source holds 8 grants already",
                    _ => "the table of grants is full; raise limits.grants",
                };
                log::warn!("{source}: {name}: the sequence is complete, but the grant is refused: {reason}");
                self.tell(Notice::of("grant_refused", source.to_ip(), &name).reason(reason));
            }
            Some(EventKind::Stage | EventKind::SourceHeld) | None => {}
        }
        Ok(())
    }

    /// A door that opens although it is open by what is known here was closed in between.
    fn close_if_over(&mut self, source: Address, door: DoorId, now: Boottime) -> Result<()> {
        if self.doors.due(now).contains(&(source, door)) {
            self.doors.close(source, door, "expire");
        }
        Ok(())
    }

    /// Holds the open doors against the table of grants, which is the truth.
    fn reconcile(&mut self) -> Result<()> {
        let now = boottime();
        let mut granted = HashSet::new();
        for grants in self.maps.all_grants()? {
            for grant in grants.all().iter().filter(|grant| !grant.deadline().passed(now)) {
                let Granted::Door(door) = grant.granted() else {
                    continue;
                };
                granted.insert((grants.source(), door));
                let age = now.seconds().saturating_sub(grant.granted_at());
                // What is there at the first look and was not among the completions, an earlier controller has dealt with.
                let fresh = (age <= FRESH_SECONDS && self.looks > 0).then_some(now);
                self.doors.note_grant(grants.source(), door, grant.deadline(), fresh);
            }
        }
        for (source, door) in self.doors.granted() {
            if !granted.contains(&(source, door)) {
                let event = if self.doors.due(now).contains(&(source, door)) { "expire" } else { "close" };
                self.doors.close(source, door, event);
            }
        }
        Ok(())
    }

    fn valid_grant(&self, source: Address, door: DoorId, now: Boottime) -> Result<Option<Deadline>> {
        let Some(grants) = self.maps.grants_of(&source)? else {
            return Ok(None);
        };
        let grant = grants.all().iter().find(|grant| grant.granted() == Granted::Door(door));
        Ok(grant.map(|grant| grant.deadline()).filter(|deadline| !deadline.passed(now)))
    }

    /// Closes what is due, unless the table of grants says that it was extended.
    fn close_due(&mut self) -> Result<()> {
        let now = boottime();
        for (source, door) in self.doors.due(now) {
            match self.valid_grant(source, door, now)? {
                Some(deadline) => self.doors.extend(source, door, deadline),
                None => self.doors.close(source, door, "expire"),
            }
        }
        Ok(())
    }

    fn until_next_deadline(&self) -> Instant {
        let wait = match self.doors.next_deadline() {
            Some(deadline) => {
                let nanoseconds = deadline.nanoseconds().saturating_sub(boottime().nanoseconds());
                // A deadline is over once its whole millisecond is.
                Duration::from_nanos(nanoseconds) + Duration::from_millis(1)
            }
            None => LOOK,
        };
        Instant::now() + wait.min(LOOK)
    }

    /// Answers a request. `Some`: the filter is off everywhere.
    fn answer(&mut self, pending: Pending) -> Result<Option<oneshot::Receiver<()>>> {
        let Pending { request, reply, written } = pending;
        let mut over = false;
        let answer = match request {
            Request::Detach { interfaces } => match self.detach(&interfaces) {
                Ok(names) => {
                    over = self.pins.linked_interfaces().is_empty();
                    if over {
                        for (source, door) in self.doors.all() {
                            self.doors.close(source, door, "close");
                        }
                        self.pins.remove()?;
                        self.directory.clear();
                    }
                    Reply::Done(names)
                }
                Err(error) => Reply::Failed(format!("{error:#}")),
            },
            Request::Reconcile => {
                self.looks = self.looks.next_multiple_of(RECONCILE_EVERY);
                self.look()?;
                Reply::Done(Vec::new())
            }
            Request::Events => Reply::Failed("events are streamed, not answered".to_owned()),
        };
        // Who asked may be gone.
        let _ = reply.send(answer);
        Ok(over.then_some(written))
    }

    fn detach(&mut self, names: &[String]) -> Result<Vec<String>> {
        let attached = self.pins.linked_interfaces();
        let mut taken_off = Vec::new();
        for index in indices(names, &attached)? {
            let name = interface_name(index);
            detach(&self.pins, index)?;
            log::info!("{name}: detached");
            taken_off.push(name);
        }
        Ok(taken_off)
    }
}
