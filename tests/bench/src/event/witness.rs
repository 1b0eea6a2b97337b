//! The command that is run: this program again, which says when it was.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

/// Longer than a command is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens for the commands.
pub struct Witness {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Witness {
    /// # Errors
    /// When there is no room for its socket.
    pub fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let socket = UnixDatagram::bind(folder.path().join("socket"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, folder })
    }

    /// The command's words.
    ///
    /// # Errors
    /// When this program can't be found.
    pub fn command(&self) -> Result<[String; 3]> {
        let program = std::env::current_exe()?;
        let words = [program, "--witness".into(), self.folder.path().join("socket")];
        let words = words.map(|word| word.into_os_string().into_string());
        let [program, option, socket] = words.map(|word| word.ok().context("a path that is no text"));
        Ok([program?, option?, socket?])
    }

    /// When the next command ran. `None`: none does.
    ///
    /// # Errors
    /// When nothing can be received.
    pub fn next(&mut self) -> Result<Option<Duration>> {
        let mut nanoseconds = [0; 8];
        match self.socket.recv(&mut nanoseconds) {
            Ok(_) => Ok(Some(Duration::from_nanos(u64::from_ne_bytes(nanoseconds)))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the command does.
///
/// # Errors
/// When nobody listens.
pub fn testify(socket: &Path) -> Result<()> {
    let nanoseconds = u64::try_from(now()?.as_nanos())?;
    UnixDatagram::unbound()?.send_to(&nanoseconds.to_ne_bytes(), socket)?;
    Ok(())
}

/// CLOCK_MONOTONIC, which all processes share.
///
/// # Errors
/// When there is none.
pub fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}
