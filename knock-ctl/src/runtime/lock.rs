//! One controller per network namespace.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{Flock, FlockArg};

use super::{RuntimeDirectory, RuntimeError};

/// Held for as long as the controller lives; the kernel lets go of it however that ends.
#[derive(Debug)]
pub struct ControllerLock {
    _file: Flock<File>,
}

impl ControllerLock {
    pub fn acquire(directory: &RuntimeDirectory) -> Result<Self, RuntimeError> {
        let path = directory.lock_file();
        let file = open(directory, true).map_err(RuntimeError::io(&path))?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((file, _)) => return Err(RuntimeError::Running { pid: read_pid(file).unwrap_or(0) }),
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
        Err((file, _)) => read_pid(file),
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

fn read_pid(mut file: File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
