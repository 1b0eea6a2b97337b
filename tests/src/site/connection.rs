//! TCP connections as clients make them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::lab::{Lab, Machine};
use knock_lab::Namespace;
use socket2::{Domain, Socket, Type};

use super::SSH;

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

/// From one of the client's addresses to the server's SSH port.
pub fn connect_as(lab: &Lab, address: IpAddr, limit: Duration) -> io::Result<TcpStream> {
    let to = SocketAddr::new(Machine::Server.of_family(address), SSH);
    let connect = || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(address, 0).into())?;
        socket.connect_timeout(&to.into(), limit)?;
        io::Result::Ok(TcpStream::from(socket))
    };
    let stream = lab.enter(Machine::Client, connect).unwrap()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether what is sent to the service comes back within the limit.
pub fn carries_data(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut answer = [0; 4];
    stream.set_read_timeout(Some(limit.min(super::limit()))).unwrap();
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"ping"
}
