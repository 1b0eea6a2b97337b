//! Floods from inside the kernel: more packets a second than a socket can send.

mod forgery;
mod injector;

pub use forgery::Forgery;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::net::if_::if_nametoindex;

use self::injector::Injector;
use super::{INTERFACE, Lab, Machine};
use crate::packet::Frame;

/// Copies of a frame that go out in a row. Each row costs some 50 ms besides.
#[derive(Clone, Debug)]
pub struct Volley {
    /// Source of the frame: a TCP segment, or a datagram of two bytes or more, with source port 0.
    pub from: IpAddr,
    pub frame: Frame,
    pub count: u32,
}

/// Sends until it is dropped.
#[derive(Debug)]
pub struct Flood {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<f64>>>,
}

impl Flood {
    /// Sends volleys to the server's interface in turn, `rate` frames a second as far as the machine can, from source ports at
    /// random.
    ///
    /// # Errors
    /// When the kernel can't inject frames (Linux 5.18).
    pub fn start(lab: &Lab, volleys: Vec<Volley>, rate: u32) -> Result<Self> {
        lab.take_injected_frames()?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        // A thread that begins in a namespace stays there.
        let thread =
            lab.wire.enter(move || thread::spawn(move || send_until(&ended, &volleys, f64::from(rate))))?;
        Ok(Self { over, thread: Some(thread) })
    }

    /// Sends forged packets to the server's interface, `rate` of them a second as far as the machine can. Returns once the first
    /// is on its way.
    ///
    /// # Errors
    /// When the kernel can't inject frames (Linux 5.18).
    pub fn forge(lab: &Lab, forgery: Forgery, rate: u32) -> Result<Self> {
        lab.take_injected_frames()?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let port = Machine::Server.port();
        let (ready, begun) = channel();
        let send = move || thread::spawn(move || forgery::send_until(&ended, &ready, &forgery, rate, port));
        let flood = Self { over, thread: Some(lab.wire.enter(send)?) };
        if begun.recv().is_err() {
            flood.end()?;
            bail!("the flood has not begun");
        }
        Ok(flood)
    }

    /// Ends it, and returns how many frames a second there were.
    ///
    /// # Errors
    /// When it could not send.
    pub fn end(mut self) -> Result<f64> {
        self.over.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("it ends once")?;
        thread.join().map_err(|_| anyhow!("the flood panicked"))?
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Whoever wants to know calls `end`.
            let _ = thread.join();
        }
    }
}

impl Lab {
    /// From now on the server takes frames that are injected into its port of the hub: a veth interface does so only where it
    /// has a native XDP program or this.
    ///
    /// # Errors
    /// When ethtool fails.
    pub fn take_injected_frames(&self) -> Result<()> {
        let output = self.run_in(Machine::Server, &["ethtool", "-K", INTERFACE, "gro", "on"])?;
        ensure!(output.status.success(), "ethtool: {output:?}");
        Ok(())
    }
}

fn send_until(over: &AtomicBool, volleys: &[Volley], rate: f64) -> Result<f64> {
    let port = if_nametoindex(Machine::Server.port()).context("the server's port of the hub")?;
    let mut injectors = [true, false].map(|is_v4| Injector::load(is_v4, port));
    let (mut sent, begun) = (0.0, Instant::now());
    for Volley { from, frame, count } in volleys.iter().cycle() {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let [of_v4, of_v6] = &mut injectors;
        let injector = if from.is_ipv4() { of_v4 } else { of_v6 };
        injector.as_mut().map_err(|error| anyhow!("{error:#}"))?.inject(&frame.build(), *count)?;
        sent += f64::from(*count);
        let due = Duration::from_secs_f64(sent / rate);
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(sent / begun.elapsed().as_secs_f64())
}
