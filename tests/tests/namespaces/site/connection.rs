//! TCP connections as clients make them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use knock_lab::Namespace;
use knock_tests::lab::{Lab, Machine};

use super::LIMIT;

/// Less than the second after which a SYN is sent again: a connection within it took the first one.
const FIRST_SYN: Duration = Duration::from_millis(700);

/// What became of a SYN.
#[derive(Debug)]
pub enum Answer {
    Accepted(TcpStream),
    /// By a reset.
    Refused,
    /// Nothing came back.
    Silence,
}

impl Answer {
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silence)
    }

    #[track_caller]
    pub fn stream(self) -> TcpStream {
        match self {
            Self::Accepted(stream) => stream,
            other => panic!("not accepted: {other:?}"),
        }
    }
}

/// Connects to a port of the server, by one SYN.
pub fn connect(lab: &Lab, from: Machine, to: IpAddr, port: u16) -> Answer {
    connect_within(lab, from, to, port, FIRST_SYN)
}

pub fn connect_within(lab: &Lab, from: Machine, to: IpAddr, port: u16, limit: Duration) -> Answer {
    connect_of(lab.namespace(from), to, port, limit)
}

/// From a machine that need not be one of the lab's.
pub fn connect_of(from: &Namespace, to: IpAddr, port: u16, limit: Duration) -> Answer {
    let to = SocketAddr::new(to, port);
    match from.enter(|| TcpStream::connect_timeout(&to, limit)).unwrap() {
        Ok(stream) => {
            stream.set_nodelay(true).unwrap();
            Answer::Accepted(stream)
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
        Err(error) if error.kind() == ErrorKind::TimedOut => Answer::Silence,
        Err(error) => panic!("connecting to {to}: {error}"),
    }
}

/// Whether what is sent to the service comes back within the limit.
pub fn carries_data(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut answer = [0; 4];
    stream.set_read_timeout(Some(limit.min(LIMIT))).unwrap();
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"ping"
}
