//! Two hundred sources who know the sequence: each is let in, keeps its connection, and is out when its grant has ended.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use knock_tests::lab::{Machine, RawSocket};
use knock_tests::site::{Knock, Site, carries_data, connect_as, knock_raw};

use crate::tally::{Event, Tally};

pub const SOURCES: u8 = 200;
pub const SEQUENCE: [Knock; 3] = [Knock::Tcp(7000), Knock::Udp(8000), Knock::Tcp(9000)];
/// Of the door.
pub const OPEN_FOR: Duration = Duration::from_secs(3);

/// Who share the sources.
pub const KNOCKERS: u8 = 4;
/// In which each source comes once.
const ROUND: Duration = Duration::from_secs(10);
/// What a busy machine may take to note an end or accept a connection.
const SLACK: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);
/// A knock may be lost on the wire to a flood.
const TRIES: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_millis(300);
/// One of so many sources tries the door before it knocks.
const TRYING: u8 = 8;

/// When each source has knocked last, by the clock of this process.
#[derive(Debug, Default)]
pub struct Knocked(Mutex<HashMap<IpAddr, Instant>>);

impl Knocked {
    fn note(&self, source: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(source, Instant::now());
    }

    fn since(&self, source: IpAddr) -> Option<Duration> {
        let knocked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        knocked.get(&source).map(Instant::elapsed)
    }

    /// Whether somebody whom the service has accepted may be in.
    pub fn may_be_in(&self, source: IpAddr) -> bool {
        self.since(source).is_some_and(|since| since < OPEN_FOR + SLACK)
    }

    fn must_be_out(&self, source: IpAddr) -> bool {
        self.since(source).is_some_and(|since| since > OPEN_FOR + SLACK)
    }
}

/// Half of each family.
pub fn source(number: u8) -> IpAddr {
    if number.is_multiple_of(2) {
        Ipv4Addr::new(10, 77, 0, 20 + number).into()
    } else {
        Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, number.into()).into()
    }
}

/// One who comes from some of the sources, in turn.
pub struct Knocker<'a> {
    pub site: &'a Site,
    pub tally: &'a Tally,
    pub knocked: &'a Knocked,
    /// Held while the server's cable is to stay in.
    pub cable: &'a RwLock<()>,
    pub number: u8,
}

impl Knocker<'_> {
    pub fn come_until(&self, over: &AtomicBool) {
        let socket = self.site.lab.raw_socket(Machine::Client).expect("a packet socket");
        let mut sessions = HashMap::new();
        let sources: Vec<IpAddr> =
            (self.number..SOURCES).step_by(usize::from(KNOCKERS)).map(source).collect();
        let pace = ROUND / sources.len() as u32;
        for &source in sources.iter().cycle() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let begun = Instant::now();
            {
                let _plugged = self.cable.read().unwrap_or_else(PoisonError::into_inner);
                self.check_session(source, &mut sessions);
                if fastrand::u8(..TRYING) == 0 && self.knocked.must_be_out(source) {
                    self.find_closed(source);
                }
                sessions.extend(self.enter(&socket, source).map(|session| (source, session)));
            }
            thread::sleep(pace.saturating_sub(begun.elapsed()));
        }
    }

    /// The connection of the last time lives on though its grant has ended.
    fn check_session(&self, source: IpAddr, sessions: &mut HashMap<IpAddr, TcpStream>) {
        if let Some(session) = sessions.get_mut(&source)
            && !carries_data(session, ROUND)
        {
            sessions.remove(&source);
            self.tally.broken(&format!("{source}: its accepted connection is dead"));
        }
    }

    fn find_closed(&self, source: IpAddr) {
        self.tally.count(Event::Tried);
        match connect_as(&self.site.lab, source, SILENCE) {
            Err(error) if error.kind() == ErrorKind::TimedOut => self.tally.count(Event::Refused),
            Err(error) => {
                self.tally.broken(&format!("{source}: answered though its grant has ended: {error}"))
            }
            Ok(_) => self.tally.broken(&format!("{source}: let in though its grant has ended")),
        }
    }

    fn enter(&self, socket: &RawSocket, source: IpAddr) -> Option<TcpStream> {
        for number in 0..TRIES {
            if number > 0 {
                self.tally.count(Event::Again);
            }
            self.knocked.note(source);
            knock_raw(socket, source, Machine::Server.of_family(source), &SEQUENCE, PAUSE);
            self.knocked.note(source);
            self.tally.count(Event::Knocked);
            if let Ok(mut session) = connect_as(&self.site.lab, source, PATIENCE)
                && carries_data(&mut session, ROUND)
            {
                self.tally.count(Event::Opened);
                return Some(session);
            }
        }
        self.tally.broken(&format!("{source}: has knocked {TRIES} times and is not let in"));
        None
    }
}
