//! The controller's loop: it notices what the kernel program has done, and does what is due.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use knock_common::event::{Event, EventKind};
use knock_common::rules::{SequenceId, steps_taken};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::bring_up::Attached;
use super::connections;
use super::doors::{Doors, command_limits};
use super::following::{Following, Occasion};
use super::in_force::InForce;
use super::metrics::Metrics;
use super::notice::Notice;
use super::perf::{self, Signal};
use super::protocols::SeenProtocols;
use super::service_manager::{self, Watchdog};
use super::waiting::{Change, in_seconds};
use super::{Options, dropped, socket, trace};
use crate::clock::boottime;
use crate::commands::CommandRunner;
use crate::datapath::{Maps, Pins, Program, Variant};
use crate::interface::ChangeWatch;
use crate::journal::Journal;
use crate::logging::{self, DOORS, IN_PASSING};
use crate::namespace::NetworkNamespace;
use crate::runtime::{Position, RuntimeDirectory};
use crate::sockets;

/// How often the controller looks for what no signal told it of.
const LOOK: Duration = Duration::from_secs(1);
/// How often it holds the open doors against the whole table of grants, in looks: completions and deadlines tell of nearly
/// everything, and a large table takes a while to read.
pub(super) const RECONCILE_EVERY: u64 = 10;
/// How often it renews the flows of connections whose sockets exist, in looks.
const RENEW_EVERY: u64 = 60;
/// Followers of events that fall this far behind lose some.
const NOTICES: usize = 4096;
/// How long the stop commands may take that a detached filter leaves due.
const LAST_COMMANDS: Duration = Duration::from_secs(60);

/// The controller at work.
pub(super) struct Watch {
    /// What `attach` was called with.
    pub(super) options: Options,
    pub(super) program: Program,
    pub(super) maps: Maps,
    pub(super) pins: Pins,
    pub(super) directory: RuntimeDirectory,
    pub(super) in_force: InForce,
    pub(super) following: Following,
    pub(super) doors: Doors,
    pub(super) position: Position,
    /// The change of rules that waits to be confirmed.
    pub(super) change: Option<Change>,
    /// Some one-time sequences are used, and those that are next are not in the kernel yet.
    pub(super) preload_due: bool,
    /// Used one-time sequences that the rules in force name no more, but those before them do.
    pub(super) retired: BTreeSet<SequenceId>,
    pub(super) metrics: Metrics,
    notices: broadcast::Sender<Notice>,
    protocols: SeenProtocols,
    pub(super) looks: u64,
}

/// Why the loop ends.
pub(super) enum End {
    /// The filter stays.
    Leave,
    /// The filter is off everywhere; whoever asked for it is being told.
    Detached(oneshot::Receiver<()>),
    /// What this controller had put into force was not confirmed in time. There are earlier rules, or the filter is off.
    NotConfirmed,
}

pub(super) async fn watch(options: Options, attached: Attached) -> Result<ExitCode> {
    let Attached { in_force, mut program, maps, pins, directory, lock, metrics: listen, change } = attached;
    let _lock = lock;
    if program.variant() == Variant::Trace {
        trace::print(program.ebpf_mut()).context("cannot read what the kernel program logs")?;
    }
    let mut signals = perf::signals(program.take_perf_events()?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let namespace = NetworkNamespace::current().context("this network namespace")?;
    // The journal of the first namespace outlives that, with its machine or container.
    let cookie = namespace.cookie().filter(|_| !namespace.is_first());
    let (journal, left_open) = Journal::open(&beside_journal(&namespace, "journal"), cookie)?;
    let mut metrics = Metrics::new(&pins, &directory)?;
    metrics.serve(listen)?;
    let (runner, mut outcomes) = CommandRunner::new(command_limits(&in_force.config));
    let mut doors = Doors::new(&in_force.config, journal, runner, metrics.counts.clone());
    doors.resume(left_open, change.is_some());
    let (notices, _) = broadcast::channel(NOTICES);
    let mut requests = socket::serve(&directory, notices.clone())?;
    let position = Position::load(&directory).unwrap_or_else(|error| {
        log::warn!("{error}");
        Position::default()
    });
    let mut addresses = ChangeWatch::of_addresses()?;
    let mut links = ChangeWatch::of_links()?;
    let mut routes = ChangeWatch::of_routes()?;
    let mut watch = Watch {
        options,
        program,
        maps,
        pins,
        directory,
        in_force,
        following: Following::default(),
        doors,
        position,
        change,
        preload_due: false,
        retired: BTreeSet::new(),
        metrics,
        notices,
        protocols: SeenProtocols::default(),
        looks: 0,
    };
    watch.look()?;
    if watch.change.is_none() {
        watch.keep_last_good();
    }
    log::info!("watching; the filter stays on when this ends, `knock-ctl detach` takes it off");
    if let Some(wait) = watch.options.confirm {
        log::warn!("what changed is undone in {}, unless `knock-ctl confirm` keeps it", in_seconds(wait));
    }

    let mut watchdog = Watchdog::new();
    watch.ready();

    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        let next = watch.until_next_deadline();
        tokio::select! {
            _ = interrupt.recv() => break End::Leave,
            _ = terminate.recv() => break End::Leave,
            _ = hangup.recv() => watch.reload_by_signal(),
            changed = addresses.changed() => {
                changed?;
                watch.follow_addresses()?;
            }
            changed = links.changed() => {
                changed?;
                watch.follow_interfaces(Occasion::Change);
            }
            // The next look does it: routes may change all the time.
            changed = routes.changed(), if watch.awaits_routes() => {
                changed?;
                watch.following.routes_are_known = false;
            }
            _ = look.tick() => watch.look()?,
            () = watchdog.beat() => service_manager::alive(),
            Some(signal) = signals.recv() => watch.take(signal)?,
            Some(outcome) = outcomes.recv() => {
                watch.doors.ended(outcome);
                watch.grant_approved()?;
            }
            Some(pending) = requests.recv() => {
                if let Some(written) = watch.answer(pending)? {
                    break End::Detached(written);
                }
            }
            () = tokio::time::sleep_until(next) => watch.close_due()?,
        }
        if let Some(end) = watch.look_at_change()? {
            break end;
        }
        watch.publish();
    };
    watch.publish();
    service_manager::stopping();
    let exit_code = match end {
        End::Leave => {
            log::info!(
                "the controller ends, the filter stays on and doors still open; `knock-ctl attach` goes on, \
                 `knock-ctl detach` takes it off"
            );
            if watch.change.is_some() {
                log::warn!(
                    "what changed is not confirmed, and undone without this controller too, unless `knock-ctl confirm` keeps it"
                );
            }
            return Ok(ExitCode::SUCCESS);
        }
        End::Detached(written) => {
            let _ = tokio::time::timeout(LOOK, written).await;
            ExitCode::SUCCESS
        }
        End::NotConfirmed => ExitCode::FAILURE,
    };
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
        log::warn!("some stop commands have not ended; those that have not begun run at the next attach");
    }
    if !watch.pins.exist() {
        log::info!("the filter is off");
    }
    Ok(exit_code)
}

/// What outlives the machine's running.
pub(super) const STATE_DIRECTORY: &str = "/var/lib/knock";

/// One file of a kind for each network namespace; the plain name is that of the namespace the machine came up with.
pub(super) fn beside_journal(namespace: &NetworkNamespace, kind: &str) -> PathBuf {
    let name = if namespace.is_first() { kind.to_owned() } else { format!("{kind}-{}", namespace.name()) };
    PathBuf::from(STATE_DIRECTORY).join(name)
}

impl Watch {
    /// Looks at everything that a signal could have told of, and was not.
    pub(super) fn look(&mut self) -> Result<()> {
        match sockets::listeners() {
            Ok(ports) => {
                self.maps.set_listeners(ports.into_iter().map(|port| (port.protocol, port.number.get())));
            }
            Err(error) => log::warn!("listening sockets are not known: {error}"),
        }
        if self.looks.is_multiple_of(RENEW_EVERY) && self.looks > 0 {
            connections::renew(&self.maps, &self.in_force.closed, &self.in_force.rules)?;
        }
        self.follow_interfaces(Occasion::Look);
        self.protocols.look(&self.maps)?;
        self.read_completions()?;
        if self.looks.is_multiple_of(RECONCILE_EVERY) {
            self.follow_one_time()?;
            self.reconcile()?;
            self.follow_addresses()?;
        }
        self.looks += 1;
        logging::tell_left_out();
        self.metrics
            .counts
            .expect_interfaces(self.in_force.interfaces.keys().map(ToString::to_string).collect());
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
    pub(super) fn tell(&self, notice: Notice) {
        self.metrics.note(&notice);
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
                    target: DOORS,
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
                let door = self.in_force.one_time.get(&event.door).unwrap_or(&event.door);
                let (name, stage) = (self.doors.name(*door), steps_taken(event.detail));
                log::info!(target: IN_PASSING, "{}: {name}: Stage {stage}", event.source);
                self.tell(Notice::of("stage", event.source.to_ip(), &name).stage(stage));
            }
            Some(EventKind::SourceHeld) => {
                log::info!(target: IN_PASSING, "{}: held for scanning", event.source);
                self.tell(Notice::new("source_held").address(event.source.to_ip()));
            }
            Some(EventKind::Dropped) => {
                if let Some(line) = dropped::line(event, self.in_force.config.filter.enforce) {
                    log::info!(target: IN_PASSING, "{line}");
                }
            }
            _ => {}
        }
    }

    /// Addresses of this machine have come or gone.
    fn follow_addresses(&mut self) -> Result<()> {
        if let Some(destinations) = self.in_force.local_destinations()? {
            self.maps.follow_destinations(&destinations)?;
        }
        Ok(())
    }

    fn until_next_deadline(&self) -> Instant {
        let next = self.doors.next_deadline().into_iter().chain(self.change_deadline()).min();
        let wait = match next {
            Some(deadline) => {
                let nanoseconds = deadline.nanoseconds().saturating_sub(boottime().nanoseconds());
                // A deadline is over once its whole millisecond is.
                Duration::from_nanos(nanoseconds) + Duration::from_millis(1)
            }
            None => LOOK,
        };
        Instant::now() + wait.min(LOOK)
    }
}
