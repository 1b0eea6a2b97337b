//! Tells the controller that grants were changed beside it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::runtime::{RuntimeDirectory, running_controller};

/// The controller answers once it has looked at the grants; commands that it then starts are not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the controller, if one runs, start and stop the commands of doors that were opened and closed beside it.
pub(super) fn notify_controller(directory: &RuntimeDirectory) {
    if let Some(pid) = running_controller(directory)
        && let Err(error) = request(directory)
    {
        log::warn!(
            "the controller (process {pid}) could not be told, so that commands of doors may not have run: {error}"
        );
    }
}

fn request(directory: &RuntimeDirectory) -> io::Result<()> {
    let mut stream = UnixStream::connect(directory.socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"{\"request\":\"reconcile\"}\n")?;
    let mut reply = String::new();
    match BufReader::new(stream).read_line(&mut reply)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
