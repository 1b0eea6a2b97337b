//! A TCP server that sends back what it gets.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use knock_lab::Namespace;

use super::{CONNECT_LIMIT, PORT};
use crate::demo::lab::{Lab, SERVER};
use crate::story::Session;

/// Its threads end with the process.
pub struct EchoServer(SocketAddr);

impl EchoServer {
    pub fn start(lab: &Lab) -> Result<Self> {
        let address = SocketAddr::from((SERVER, PORT));
        let listener = lab.server.enter(|| TcpListener::bind(address))??;
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        Ok(Self(address))
    }

    /// `None` where nothing answers.
    pub fn connect(&self, from: &Namespace) -> Result<Option<Session>> {
        let connected = from.enter(|| TcpStream::connect_timeout(&self.0, CONNECT_LIMIT))?;
        let Ok(stream) = connected else { return Ok(None) };
        Ok(Some(Session::new(stream.try_clone()?, stream, None)))
    }
}
