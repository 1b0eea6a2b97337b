//! Tells the controller that grants were changed beside it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::runtime::{RuntimeDirectory, running_controller};

/// The controller answers once it has looked at the grants; commands that it then starts are not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the controller, if one runs, start and stop the commands of doors that were opened and closed beside it.
pub(super) fn notify_controller(directory: &RuntimeDirectory) {
    if let Some(pid) = running_controller(directory)
        && let Err(error) = request(&directory.socket())
    {
        log::warn!(
            "the controller (process {pid}) could not be told, so that commands of doors may not have run: {error}"
        );
    }
}

fn request(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"{\"request\":\"reconcile\"}\n")?;
    let mut reply = String::new();
    match BufReader::new(stream).read_line(&mut reply)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Has `request` meet a controller that answers so; returns its result and what the controller read.
    fn ask(answer: &'static str) -> (io::Result<()>, String) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control");
        let listener = UnixListener::bind(&socket).unwrap();
        let controller = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            line
        });
        (request(&socket), controller.join().unwrap())
    }

    #[test]
    fn one_line_is_asked_and_one_is_awaited() {
        let (result, asked) = ask("{\"done\":true}\n");
        assert!(result.is_ok());
        assert_eq!(asked, "{\"request\":\"reconcile\"}\n");
    }

    #[test]
    fn a_controller_that_hangs_up_or_is_gone_is_a_failure() {
        assert_eq!(ask("").0.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(request(Path::new("/nonexistent/control")).is_err());
    }
}
