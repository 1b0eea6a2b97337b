//! One controller per network namespace.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::{RuntimeDirectory, RuntimeError};

/// How long the lock of a controller that is no more may take to go.
const PATIENCE: Duration = Duration::from_secs(1);

/// Held for as long as the controller lives; the kernel lets go of it however that ends.
#[derive(Debug)]
pub struct ControllerLock {
    _file: Flock<File>,
}

impl ControllerLock {
    pub fn acquire(directory: &RuntimeDirectory) -> Result<Self, RuntimeError> {
        let path = directory.lock_file();
        let mut file = open(directory, true).map_err(RuntimeError::io(&path))?;
        let begun = Instant::now();
        let mut file = loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => break file,
                Err((file, _)) => file,
            };
            let pid = read_pid(&mut file);
            // The commands of a controller that was killed hold its lock until they have begun.
            if pid.is_some_and(is_alive) || begun.elapsed() > PATIENCE {
                return Err(RuntimeError::Running { pid: pid.unwrap_or(0) });
            }
            thread::sleep(Duration::from_millis(5));
        };
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(RuntimeError::io(&path))?;
        Ok(Self { _file: file })
    }
}

/// The process that is the controller of this network namespace, if there is one.
pub fn running_controller(directory: &RuntimeDirectory) -> Option<u32> {
    let file = open(directory, false).ok()?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => None,
        Err((mut file, _)) => read_pid(&mut file).filter(|&pid| is_alive(pid)),
    }
}

fn open(directory: &RuntimeDirectory, create: bool) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(directory.lock_file())
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
