//! Runs a step, and buries whoever else ends meanwhile, as the first process has to.

use std::io::{BufRead as _, BufReader, PipeReader, pipe};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use knock_guest::{End, Report, Step};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Host;

const ENVIRONMENT: [(&str, &str); 6] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("USER", "root"),
    ("RUST_BACKTRACE", "1"),
    // Tests that can't run fail instead of being skipped.
    ("KNOCK_REQUIRE_PRIVILEGED", "1"),
    ("KNOCK_EMULATED", "1"),
];

/// Between looks at who has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// How it ended, and how long it took. What it writes goes to the host.
pub fn to_its_end(step: &Step, host: &Host) -> Result<(End, Duration)> {
    let (program, arguments) = step.words.split_first().context("a step without words")?;
    let (output, input) = pipe()?;
    let started = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        .process_group(0)
        .spawn()
        .with_context(|| format!("running {program}"))?;
    let child = Pid::from_raw(child.id().cast_signed());
    let reader = thread::spawn({
        let host = host.clone();
        move || pass_on(output, &host)
    });
    let mut is_killed = false;
    let end = loop {
        if let Some(end) = bury(child)? {
            break if is_killed { End::Overtime } else { end };
        }
        if !is_killed && started.elapsed() > step.limit {
            // With all that it has started and that has not left its group.
            kill(Pid::from_raw(-child.as_raw()), Signal::SIGKILL)?;
            is_killed = true;
        }
        thread::sleep(PAUSE);
    };
    let took = started.elapsed();
    // Whoever still holds the pipe may write for ever.
    let patience = Instant::now() + Duration::from_secs(1);
    while !reader.is_finished() && Instant::now() < patience {
        thread::sleep(PAUSE);
    }
    Ok((end, took))
}

fn pass_on(output: PipeReader, host: &Host) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        // The port fails for whoever else writes to it too.
        let _ = host.tell(&Report::Said(String::from_utf8_lossy(&line).into_owned()));
    }
}

/// Takes the status of all that have ended; returns that of `child`.
fn bury(child: Pid) -> Result<Option<End>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => return Ok(Some(End::Exit(status))),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(Some(End::Signal(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error).context("waiting for a program"),
        }
    }
}
