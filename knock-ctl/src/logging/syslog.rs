//! Syslog, by its socket (RFC 3164, as syslog(3) writes it).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use jiff::Zoned;

use super::logger::Output;
use super::severity::Severity;

/// LOG_USER, as knockd's.
const FACILITY: u8 = 1;

/// What takes messages at a socket. It may come, go and come again: each message finds it anew.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
}

impl Default for Syslog {
    fn default() -> Self {
        Self { path: "/dev/log".into() }
    }
}

impl Output for Syslog {
    fn write(&mut self, severity: Severity, message: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        // Who does not take its messages must not hold up the controller.
        socket.set_nonblocking(true)?;
        let time = Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        for line in message.lines() {
            socket.send_to(datagram(severity, &time, std::process::id(), line).as_bytes(), &self.path)?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("syslog at {}", self.path.display())
    }
}

fn datagram(severity: Severity, time: &str, process: u32, line: &str) -> String {
    format!("<{}>{time} knock-ctl[{process}]: {line}", FACILITY << 3 | severity as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_its_priority_and_time() {
        let message = datagram(Severity::Notice, "Nov  1 06:37:00", 812, "192.0.2.7: ssh: OPEN SESAME");
        assert_eq!(message, "<13>Nov  1 06:37:00 knock-ctl[812]: 192.0.2.7: ssh: OPEN SESAME");
    }

    #[test]
    fn a_daemon_that_comes_later_or_again_gets_what_is_said_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut syslog = Syslog { path: path.clone() };
        assert!(syslog.write(Severity::Info, "too early").is_err());
        for _ in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            syslog.write(Severity::Info, "one\ntwo").unwrap();
            for line in ["one", "two"] {
                let mut buffer = [0; 128];
                let length = daemon.recv(&mut buffer).unwrap();
                let message = str::from_utf8(&buffer[..length]).unwrap();
                assert!(message.starts_with("<14>") && message.ends_with(&format!("]: {line}")), "{message}");
            }
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_daemon_that_takes_nothing_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let _idle = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog { path };
        let results = (0..100_000).map(|_| syslog.write(Severity::Info, "line"));
        let error = results.into_iter().find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
