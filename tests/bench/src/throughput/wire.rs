//! A lab whose server drops, and a thread that sends.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use knock_lab::Namespace;
use knock_tests::lab::{INTERFACE, Lab, Machine};
use knock_tests::packet::Frame;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::dropper::{Dropper, InPlace};
use crate::programs::{Injector, output};

/// Who sends, and receives what it has sent: the last one.
fn cpu() -> Result<usize> {
    Ok(std::thread::available_parallelism()?.get() - 1)
}

pub struct Wire {
    lab: Lab,
    // Dropped before the lab.
    _in_place: InPlace,
    _listener: TcpListener,
    _folder: TempDir,
    injector: Injector,
    frame: Vec<u8>,
}

impl Wire {
    /// # Errors
    /// When the dropper can't be put in place, or lets a SYN through.
    pub fn new(dropper: Dropper) -> Result<Self> {
        const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
        let lab = Lab::new()?;
        let server = SocketAddr::new(Machine::Server.v4(), 22);
        let listener = lab.enter(Machine::Server, || TcpListener::bind(server))??;
        ensure!(connects(&lab, server)?, "nothing stands in the way, and ssh does not answer");
        let folder = TempDir::new()?;
        let in_place = dropper.start(&lab, folder.path())?;
        ensure!(!connects(&lab, server)?, "ssh answers");
        lab.take_injected_frames()?;
        let index = |wire: &Namespace| wire.enter(|| nix::net::if_::if_nametoindex(Machine::Server.port()));
        let injector = Injector::load(index(lab.wire())??)?;
        let frame = Frame::tcp(STRANGER, Machine::Server.v4()).ports(40_000, 22).build();
        Ok(Self { lab, _in_place: in_place, _listener: listener, _folder: folder, injector, frame })
    }

    /// Packets a second that came out at the other end.
    ///
    /// # Errors
    /// When the kernel can't inject frames, or less than half of them came out.
    pub fn rate(&mut self, count: u32) -> Result<f64> {
        let before = self.received()?;
        let (injector, frame) = (&mut self.injector, &self.frame);
        let nanoseconds = self.lab.wire().enter(move || {
            let mut one = CpuSet::new();
            one.set(cpu()?)?;
            sched_setaffinity(Pid::from_raw(0), &one)?;
            injector.inject(frame, count)
        })??;
        let arrived = (self.received()? - before) as f64 / f64::from(count);
        ensure!(arrived > 0.5, "{:.0}% of the frames did not come out", (1.0 - arrived) * 100.0);
        Ok(arrived / nanoseconds * 1e9)
    }

    /// Frames that the driver has taken from the wire so far.
    fn received(&self) -> Result<u64> {
        let mut ethtool = self.lab.namespace(Machine::Server).command("ethtool");
        let statistics = String::from_utf8(output(ethtool.args(["-S", INTERFACE]))?)?;
        let line = statistics.lines().find_map(|line| line.trim().strip_prefix("rx_queue_0_xdp_packets:"));
        line.context("ethtool tells no rx_queue_0_xdp_packets")?.trim().parse().context("of ethtool")
    }
}

/// Whether a SYN from the client is answered.
fn connects(lab: &Lab, server: SocketAddr) -> Result<bool> {
    const PATIENCE: Duration = Duration::from_millis(300);
    match lab.enter(Machine::Client, || TcpStream::connect_timeout(&server, PATIENCE))? {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(false),
        Err(error) => bail!("connecting: {error}"),
    }
}
