//! Which command runs when.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::process;
use super::request::{CommandOutcome, CommandRequest};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many commands run at once.
    pub running: NonZeroUsize,
    /// How many more wait for their turn.
    pub queued: usize,
}

/// Runs commands, at most so many at once. Those of one door and address run one after the other, as they were
/// submitted: a stop never overtakes its start.
#[derive(Debug)]
pub struct CommandRunner(Arc<Shared>);

/// As many commands as may wait are waiting. Holds what was refused.
#[derive(Debug, thiserror::Error)]
#[error("{}: too many commands are waiting already; a command for {} is not run", .0.door, .0.address)]
pub struct Refused(pub Box<CommandRequest>);

impl CommandRunner {
    /// The outcomes arrive in the order of the commands' ends, one for each command that was not refused. While they are
    /// not received no further commands start; when the receiver is dropped, outcomes are too.
    pub fn new(limits: Limits) -> (Self, mpsc::Receiver<CommandOutcome>) {
        let (outcomes, receiver) = mpsc::channel(limits.running.get());
        (Self(Arc::new(Shared { queue: Mutex::new(Queue::new(limits)), outcomes })), receiver)
    }

    /// Runs it now or as soon as there is room.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn submit(&self, request: CommandRequest) -> Result<(), Refused> {
        let mut queue = self.0.queue();
        if queue.admits(&request) {
            start(&self.0, &mut queue, request);
        } else if queue.waiting.len() < queue.limits.queued {
            queue.waiting.push_back(request);
        } else {
            return Err(Refused(Box::new(request)));
        }
        Ok(())
    }

    /// From now on these limits hold. More than they allow may run and wait still, until those have ended.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn set_limits(&self, limits: Limits) {
        let mut queue = self.0.queue();
        queue.limits = limits;
        start_waiting(&self.0, &mut queue);
    }

    /// How many commands run or wait.
    pub fn unfinished(&self) -> usize {
        let queue = self.0.queue();
        queue.running.len() + queue.waiting.len()
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    outcomes: mpsc::Sender<CommandOutcome>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commands with the same lane run one after the other.
type Lane = (String, IpAddr);

fn lane(request: &CommandRequest) -> Lane {
    (request.door.clone(), request.address.to_canonical())
}

/// While there is room for another command, every waiting one waits for its own lane.
#[derive(Debug)]
struct Queue {
    limits: Limits,
    running: HashSet<Lane>,
    waiting: VecDeque<CommandRequest>,
}

impl Queue {
    fn new(limits: Limits) -> Self {
        Self { limits, running: HashSet::new(), waiting: VecDeque::new() }
    }

    fn admits(&self, request: &CommandRequest) -> bool {
        self.running.len() < self.limits.running.get() && !self.running.contains(&lane(request))
    }

    fn next(&mut self) -> Option<CommandRequest> {
        let position = self.waiting.iter().position(|request| self.admits(request))?;
        self.waiting.remove(position)
    }
}

fn start_waiting(shared: &Arc<Shared>, queue: &mut Queue) {
    while let Some(next) = queue.next() {
        start(shared, queue, next);
    }
}

fn start(shared: &Arc<Shared>, queue: &mut Queue, request: CommandRequest) {
    queue.running.insert(lane(&request));
    tokio::spawn(run(Arc::clone(shared), request));
}

async fn run(shared: Arc<Shared>, request: CommandRequest) {
    let started = Instant::now();
    let result = process::run(&request, process::GRACE).await;
    let lane = lane(&request);
    let outcome = CommandOutcome {
        door: request.door,
        kind: request.kind,
        address: request.address,
        result,
        announcement: request.announcement,
        duration: started.elapsed(),
    };
    // Nobody listens any more when the controller is ending; the commands still take their turns.
    let _ = shared.outcomes.send(outcome).await;
    let mut queue = shared.queue();
    queue.running.remove(&lane);
    start_waiting(&shared, &mut queue);
}
