//! People who knock and then connect, each from an address that has never been heard of.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_tests::lab::{INTERFACE, Lab, Machine, RawSocket};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{ACK, SYN};

use crate::defence::{SEQUENCE, SSH, Spa};
use crate::programs::output;

/// They come one after the other: knockd forgets who is under way when somebody else's knocks are complete.
const APART: Duration = Duration::from_millis(150);
/// How often they try to connect: at first, and later.
const EAGER: Duration = Duration::from_millis(50);
const SOON: Duration = Duration::from_millis(1);
const SELDOM: Duration = Duration::from_millis(20);

/// The visitors of one lab: there is an address for each.
pub struct Visitors {
    socket: RawSocket,
    left: VecDeque<Ipv4Addr>,
}

/// How they knock.
#[derive(Clone, Copy)]
pub enum Knocking<'a> {
    /// Frame by frame, so long apart.
    Ports(Duration),
    /// By a client of fwknopd.
    Spa(&'a Spa),
    /// Nobody asks for it.
    None,
}

impl Knocking<'_> {
    /// From the first to the last.
    fn length(self) -> Duration {
        match self {
            Self::Ports(pause) => pause * (SEQUENCE.len() as u32 - 1),
            Self::Spa(_) | Self::None => Duration::ZERO,
        }
    }
}

struct Visitor {
    address: Ipv4Addr,
    /// Of the next knock or, behind the last, SYN.
    due: Instant,
    knocks: usize,
    knocked: Option<Instant>,
    syns: u16,
    accepted: Option<Duration>,
}

impl Visitors {
    /// # Errors
    /// When the lab has no room for them.
    pub fn new(lab: &Lab) -> Result<Self> {
        let left: VecDeque<_> = (100..250).map(|number| Ipv4Addr::new(10, 77, 0, number)).collect();
        // No kernel has these addresses, so that nobody would answer for them when the server looks for its neighbours.
        let mac = Machine::Client.mac().map(|byte| format!("{byte:02x}")).join(":");
        for address in &left {
            lab.namespace(Machine::Server)
                .ip(&format!("neighbour replace {address} lladdr {mac} nud permanent dev {INTERFACE}"))?;
        }
        Ok(Self { socket: lab.raw_socket(Machine::Client)?, left })
    }

    /// So many visitors, who try for `patience` to connect: how long after the last knock each was accepted, in milliseconds, if it was.
    ///
    /// # Errors
    /// When no address is left, or nothing can be sent.
    pub fn visit(
        &mut self,
        lab: &Lab,
        knocking: Knocking<'_>,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<Option<f64>>> {
        ensure!(self.left.len() >= count, "no address is left for visitors");
        let begun = Instant::now();
        let apart = APART + knocking.length();
        let mut visitors: Vec<Visitor> = (0..)
            .map(|number| begun + apart * number)
            .zip(self.left.drain(..count))
            .map(|(due, address)| Visitor { address, due, knocks: 0, knocked: None, syns: 0, accepted: None })
            .collect();
        loop {
            let now = Instant::now();
            for visitor in
                visitors.iter_mut().filter(|visitor| visitor.is_here(now, patience) && visitor.due <= now)
            {
                visitor.act(lab, &self.socket, knocking)?;
            }
            let Some(next) = visitors
                .iter()
                .filter(|visitor| visitor.is_here(now, patience))
                .map(|visitor| visitor.due)
                .min()
            else {
                break;
            };
            let wait = next.saturating_duration_since(Instant::now());
            let answer = self.socket.receive(wait, is_acceptance)?;
            if let Some(frame) = answer {
                let to = Ipv4Addr::new(frame[30], frame[31], frame[32], frame[33]);
                let accepted = visitors.iter_mut().find(|visitor| visitor.address == to);
                if let Some(visitor) = accepted.filter(|visitor| visitor.accepted.is_none()) {
                    visitor.accepted = visitor.knocked.map(|knocked| knocked.elapsed());
                }
            }
        }
        Ok(visitors.into_iter().map(|visitor| Some(visitor.accepted?.as_secs_f64() * 1e3)).collect())
    }
}

impl Visitor {
    /// Neither accepted nor tired.
    fn is_here(&self, now: Instant, patience: Duration) -> bool {
        self.accepted.is_none() && self.knocked.is_none_or(|knocked| now < knocked + patience)
    }

    fn act(&mut self, lab: &Lab, socket: &RawSocket, knocking: Knocking<'_>) -> Result<()> {
        match (self.knocked, knocking) {
            (None, Knocking::None) => self.knocked = Some(Instant::now()),
            (None, Knocking::Ports(pause)) => {
                let port = SEQUENCE.get(self.knocks).context("there is no further knock")?;
                socket.send(&self.syn(50_000 + self.knocks as u16, *port))?;
                self.knocks += 1;
                if self.knocks < SEQUENCE.len() {
                    self.due = Instant::now() + pause;
                    return Ok(());
                }
                self.knocked = Some(Instant::now());
            }
            (None, Knocking::Spa(spa)) => {
                output(&mut spa.knock(lab, self.address.into()))?;
                self.knocked = Some(Instant::now());
            }
            (Some(_), _) => {}
        }
        socket.send(&self.syn(20_000 + self.syns, SSH))?;
        self.syns += 1;
        let eager = self.knocked.is_some_and(|knocked| knocked.elapsed() < EAGER);
        self.due = Instant::now() + if eager { SOON } else { SELDOM };
        Ok(())
    }

    fn syn(&self, source_port: u16, port: u16) -> Vec<u8> {
        let sequence = u32::from(source_port);
        let frame = Frame::tcp(IpAddr::V4(self.address), Machine::Server.v4());
        frame.ports(source_port, port).sequence(sequence).build()
    }
}

/// A SYN-ACK of ssh over IPv4.
fn is_acceptance(frame: &[u8]) -> bool {
    frame.len() >= 54
        && frame[12..14] == [8, 0]
        && frame[23] == 6
        && frame[34..36] == SSH.to_be_bytes()
        && frame[47] == SYN | ACK
}
