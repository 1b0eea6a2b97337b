//! What a connection carries.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use knock_tests::lab::Machine;

use super::box_under_test::BoxUnderTest;

/// After which a connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that arrive at the box in a second, from the first to the last.
pub fn bytes_a_second(tested: &BoxUnderTest, length: Duration) -> Result<f64> {
    let (mut client, mut server) = connect(tested, 0)?;
    thread::scope(|scope| {
        let receiver = scope.spawn(move || -> Result<f64> {
            let (mut buffer, mut bytes) = (vec![0; 1 << 17], 0);
            let begun = Instant::now();
            loop {
                match server.read(&mut buffer)? {
                    0 => return Ok(bytes as f64 / begun.elapsed().as_secs_f64()),
                    read => bytes += read,
                }
            }
        });
        let (data, begun) = (vec![0; 1 << 17], Instant::now());
        while begun.elapsed() < length {
            client.write_all(&data)?;
        }
        drop(client);
        receiver.join().map_err(|_| anyhow!("the receiver panicked"))?
    })
}

/// Microseconds that each of many small messages took there and back, one after the other.
pub fn round_trips(tested: &BoxUnderTest, length: Duration) -> Result<Vec<f64>> {
    let (mut client, mut server) = connect(tested, 1)?;
    thread::scope(|scope| {
        let echo = scope.spawn(move || -> Result<()> {
            let mut message = [0; 64];
            loop {
                match server.read_exact(&mut message) {
                    Ok(()) => server.write_all(&message)?,
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        });
        let (mut message, mut round_trips, begun) = ([0; 64], Vec::new(), Instant::now());
        while begun.elapsed() < length {
            let sent = Instant::now();
            client.write_all(&message)?;
            client.read_exact(&mut message)?;
            round_trips.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        drop(client);
        echo.join().map_err(|_| anyhow!("the echo panicked"))??;
        Ok(round_trips)
    })
}

/// Both ends, of which none waits for ever.
fn connect(tested: &BoxUnderTest, which: usize) -> Result<(TcpStream, TcpStream)> {
    let address = tested.address(which);
    let connect = || TcpStream::connect_timeout(&address, PATIENCE);
    let client = tested.lab().enter(Machine::Client, connect)?.context("an open port does not answer")?;
    let (server, _) = tested.listeners[which].accept()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
    }
    Ok((client, server))
}
