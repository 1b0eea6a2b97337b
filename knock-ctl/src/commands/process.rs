//! One process, from its start to the end of its process group.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::announcement::Announcement;
use super::command_line::CommandLine;
use super::identity::Identity;
use super::request::{CommandRequest, CommandResult};
use super::seclusion::seclude;

/// How long a command that is told to end may take before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);

const GROUP_POLL: Duration = Duration::from_millis(50);

/// Runs it to its end, or to the end of its time and then `grace`.
pub(super) async fn run(request: &CommandRequest, grace: Duration) -> CommandResult {
    let mut child = match spawn(request).await {
        Ok(child) => child,
        Err(error) => return CommandResult::Failed(error),
    };
    match timeout(request.time_limit, child.wait()).await {
        Ok(Ok(status)) => CommandResult::Exited(status),
        Ok(Err(error)) => CommandResult::Failed(error),
        Err(_) => {
            end(&mut child, grace).await;
            CommandResult::TimedOut
        }
    }
}

async fn spawn(request: &CommandRequest) -> io::Result<Child> {
    let identity = match request.run_as.clone() {
        Some(name) => Some(tokio::task::spawn_blocking(move || Identity::of(&name)).await??),
        None => None,
    };
    let mut command = command(request.command.for_address(request.address))?;
    let address = request.address.to_canonical();
    command
        .env("KNOCK_IP", address.to_string())
        .env("KNOCK_FAMILY", family(address))
        .env("KNOCK_DOOR", &request.door)
        .env("KNOCK_OPENS", &request.opens)
        .env("KNOCK_OPEN_FOR", &request.open_for)
        // A service manager speaks with the controller alone.
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("WATCHDOG_PID")
        .current_dir("/")
        .stdin(Stdio::null())
        // Not a pipe, which somebody would have to empty, and not the controller's own output.
        .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
        .stderr(Stdio::inherit())
        .process_group(0);
    if let Some(identity) = &identity {
        command.env("HOME", &identity.home).env("USER", &identity.name).env("LOGNAME", &identity.name);
    }
    seclude(&mut command, identity, request.announcement.as_ref().map(Announcement::ready));
    command.spawn()
}

fn command(line: CommandLine) -> io::Result<Command> {
    match line {
        CommandLine::Shell(text) => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(text);
            Ok(command)
        }
        CommandLine::Direct(words) => {
            let mut words = words.into_iter();
            let program = words.next().ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "the command has not even a program")
            })?;
            let mut command = Command::new(program);
            command.args(words);
            Ok(command)
        }
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "4" } else { "6" }
}

/// Ends the whole process group: what a command started ends with it.
async fn end(child: &mut Child, grace: Duration) {
    let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) else { return };
    let deadline = Instant::now() + grace;
    signal(group, Signal::SIGTERM);
    let _ = timeout_at(deadline, child.wait()).await;
    // The group outlives its leader, and keeps its number from being given away, while it has members.
    while exists(group) && Instant::now() < deadline {
        sleep(GROUP_POLL).await;
    }
    if exists(group) {
        signal(group, Signal::SIGKILL);
    }
    let _ = child.wait().await;
}

fn exists(group: Pid) -> bool {
    killpg(group, None) != Err(Errno::ESRCH)
}

/// A group that ended meanwhile needs no signal.
fn signal(group: Pid, signal: Signal) {
    if let Err(error) = killpg(group, signal)
        && error != Errno::ESRCH
    {
        log::warn!("cannot send {signal} to process group {group}: {error}");
    }
}
