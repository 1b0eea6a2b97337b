//! The perf buffers: what wakes the controller.

use std::io;

use aya::maps::perf::{PerfEvent, PerfEventArrayBuffer};
use aya::maps::{MapData, PerfEventArray};
use aya::util::online_cpus;
use knock_common::event::Event;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Pages of each CPU's buffer.
const PAGES: usize = 16;
/// Signals that may wait for the controller.
const WAITING: usize = 1024;

/// What a perf buffer said.
#[derive(Debug)]
pub(super) enum Signal {
    /// What is told in passing, and kept nowhere: a step of an attempt, a source that is held, a dropped
    /// packet.
    InPassing(Event),
    /// There are completions to be read.
    Completions,
    /// So many signals found no room. Completions among them are not lost.
    Lost(u64),
}

/// Reads the buffers of all CPUs. Without them the controller still looks for completions from time to time.
pub(super) fn signals(mut events: PerfEventArray<MapData>) -> mpsc::Receiver<Signal> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let cpus = online_cpus().unwrap_or_else(|(path, error)| {
        log::warn!("{path}: {error}; completions are noticed once a second");
        Vec::new()
    });
    for cpu in cpus {
        let buffer = events.open(cpu, Some(PAGES)).map_err(io::Error::other).and_then(watchable);
        match buffer {
            Ok(buffer) => drop(tokio::spawn(read(buffer, sender.clone()))),
            Err(error) => {
                log::warn!("perf buffer of CPU {cpu}: {error}; completions are noticed once a second")
            }
        }
    }
    receiver
}

type Buffer = PerfEventArrayBuffer<MapData>;

fn watchable(buffer: Buffer) -> io::Result<AsyncFd<Buffer>> {
    // SAFETY: the buffer owns its descriptor, never replaces it, and closes it when it is dropped: with the `AsyncFd`, which
    // takes its registration back first.
    unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE) }.map_err(io::Error::from)
}

async fn read(mut buffer: AsyncFd<Buffer>, sender: mpsc::Sender<Signal>) {
    let mut unsent = 0;
    while let Ok(mut ready) = buffer.readable_mut().await {
        let mut completions = false;
        ready.get_inner_mut().for_each(|event| match event {
            PerfEvent::Lost { count } => unsent += count,
            PerfEvent::Sample { head, tail } => {
                let mut bytes = head.to_vec();
                bytes.extend_from_slice(tail);
                match Event::from_bytes(&bytes) {
                    Some(event) if event.serial == 0 => {
                        if sender.try_send(Signal::InPassing(event)).is_err() {
                            unsent += 1;
                        }
                    }
                    _ => completions = true,
                }
            }
        });
        ready.clear_ready();
        if completions && sender.send(Signal::Completions).await.is_err() {
            return;
        }
        if unsent > 0 && sender.try_send(Signal::Lost(unsent)).is_ok() {
            unsent = 0;
        }
    }
}
