use std::fs;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};

use super::process;
use super::*;

const LONG: Duration = Duration::from_secs(60);

fn request(kind: CommandKind, address: &str, command: CommandLine) -> CommandRequest {
    CommandRequest {
        door: "ssh".into(),
        kind,
        command,
        address: address.parse().unwrap(),
        opens: "22/tcp".into(),
        open_for: "30s".into(),
        run_as: None,
        time_limit: LONG,
        announcement: None,
    }
}

fn shell(text: impl Into<String>) -> CommandRequest {
    request(CommandKind::Start, "192.0.2.7", CommandLine::Shell(text.into()))
}

fn runner(running: usize, queued: usize) -> (CommandRunner, Receiver<CommandOutcome>) {
    CommandRunner::new(Limits { running: NonZeroUsize::new(running).unwrap(), queued })
}

async fn outcome(outcomes: &mut Receiver<CommandOutcome>) -> CommandOutcome {
    timeout(LONG, outcomes.recv()).await.unwrap().unwrap()
}

async fn run(request: CommandRequest) -> CommandResult {
    process::run(&request, Duration::from_millis(200)).await
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(5)).await;
    }
}

/// The process ID that a command wrote by `echo $$ > FILE`.
async fn process_id(file: &Path) -> Pid {
    let read = || fs::read_to_string(file).ok()?.strip_suffix('\n')?.parse().ok().map(Pid::from_raw);
    until(|| read().is_some()).await;
    read().unwrap()
}

/// Gone altogether: not a zombie either.
fn is_gone(process: Pid) -> bool {
    kill(process, None) == Err(Errno::ESRCH)
}

/// A shell command that ends when `gate` exists.
fn wait_for(gate: &Path) -> String {
    format!("until test -e {}; do sleep 0.01; done", gate.display())
}

#[tokio::test]
async fn a_command_knows_its_source_and_its_door() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out");
    let text = format!(
        r#"echo "%IP% $KNOCK_IP $KNOCK_FAMILY $KNOCK_DOOR $KNOCK_OPENS $KNOCK_OPEN_FOR" > {}"#,
        file.display()
    );
    for (address, expected) in [
        ("192.0.2.7", "192.0.2.7 192.0.2.7 4 ssh 22/tcp 30s\n"),
        ("::ffff:192.0.2.7", "192.0.2.7 192.0.2.7 4 ssh 22/tcp 30s\n"),
        ("2001:db8::7", "2001:db8::7 2001:db8::7 6 ssh 22/tcp 30s\n"),
    ] {
        let result = run(request(CommandKind::Start, address, CommandLine::Shell(text.clone()))).await;
        assert!(result.succeeded(), "{result:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    }
}

#[tokio::test]
async fn no_shell_sees_the_words_of_a_direct_command() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out");
    let words = ["/usr/bin/env", "dd", "if=/dev/null", "status=none"].map(String::from);
    let target = format!("of={}/$(id);%IP%'\"`id`", file.parent().unwrap().display());
    let direct = CommandLine::Direct([words.as_slice(), &[target]].concat());
    let result = run(request(CommandKind::Start, "2001:db8::7", direct)).await;
    assert!(result.succeeded(), "{result:?}");
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["$(id);2001:db8::7'\"`id`"]);
}

#[test]
fn an_address_is_nothing_but_an_address_to_a_shell() {
    let line = CommandLine::Shell("add %IP%; del %IP%".into());
    for address in
        ["0.0.0.0", "255.255.255.255", "::", "::ffff:1.2.3.4", "::1.2.3.4", "64:ff9b::1.2.3.4", "fe80::1"]
    {
        let CommandLine::Shell(text) = line.for_address(address.parse().unwrap()) else { unreachable!() };
        let (first, second) = text.strip_prefix("add ").unwrap().split_once("; del ").unwrap();
        assert_eq!(first, second);
        assert!(first.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:".contains(&byte)), "{first}");
        assert_eq!(first.parse::<IpAddr>().unwrap(), address.parse::<IpAddr>().unwrap().to_canonical());
    }
}

#[tokio::test]
async fn what_became_of_it_is_told() {
    let CommandResult::Exited(status) = run(shell("exit 3")).await else { panic!() };
    assert_eq!(status.code(), Some(3));
    let missing = CommandLine::Direct(vec!["/no/such/program".into()]);
    for line in [missing, CommandLine::Direct(Vec::new()), CommandLine::Shell("nul \0".into())] {
        let result = run(request(CommandKind::Stop, "192.0.2.7", line)).await;
        assert!(matches!(result, CommandResult::Failed(_)), "{result:?}");
    }
    let mut nobodys = shell("exit 0");
    nobodys.run_as = Some("no-such-user".into());
    let CommandResult::Failed(error) = run(nobodys).await else { panic!() };
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_command_has_no_input_and_no_descriptors_of_ours() {
    let inherited = fs::File::open("/dev/null").unwrap();
    let kept = nix::fcntl::fcntl(&inherited, nix::fcntl::FcntlArg::F_DUPFD(700)).unwrap();
    let text = format!(
        "! test -e /proc/$$/fd/{kept} && ! test -e /proc/$$/fd/{} && ! read line",
        inherited.as_raw_fd()
    );
    let result = run(shell(text)).await;
    nix::unistd::close(kept).unwrap();
    assert!(result.succeeded(), "{result:?}");
}

#[tokio::test]
async fn a_command_that_will_not_end_is_killed_with_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let [leader, member] = ["leader", "member"].map(|name| directory.path().join(name));
    let mut endless = shell(format!(
        "trap '' TERM; sh -c 'echo $$ > {}; while :; do sleep 0.05; done' & echo $$ > {}; while :; do sleep 0.05; done",
        member.display(),
        leader.display()
    ));
    endless.time_limit = Duration::from_millis(500);
    let started = Instant::now();
    assert!(matches!(run(endless).await, CommandResult::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(700));
    let (leader, member) = (process_id(&leader).await, process_id(&member).await);
    assert!(is_gone(leader));
    // Init reaps orphans, in its own time.
    until(|| is_gone(member) || is_zombie(member)).await;
}

fn is_zombie(process: Pid) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[tokio::test]
async fn a_command_may_tidy_up_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidied");
    let mut tidy =
        shell(format!("trap 'touch {}; exit 0' TERM; while :; do sleep 0.01; done", file.display()));
    tidy.time_limit = Duration::from_millis(500);
    assert!(matches!(process::run(&tidy, LONG).await, CommandResult::TimedOut));
    assert!(file.exists());
}

#[tokio::test]
async fn no_more_run_and_wait_than_may() {
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    let (runner, mut outcomes) = runner(2, 3);
    for host in 1..=5 {
        let text = format!("touch {}/started.{host}; {}", directory.path().display(), wait_for(&gate));
        runner
            .submit(request(CommandKind::Start, &format!("192.0.2.{host}"), CommandLine::Shell(text)))
            .unwrap();
    }
    let refused = runner.submit(shell("exit 0")).unwrap_err();
    assert_eq!(refused.0.address, "192.0.2.7".parse::<IpAddr>().unwrap());
    assert_eq!(runner.unfinished(), 5);
    let started = || fs::read_dir(directory.path()).unwrap().count();
    until(|| started() == 2).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(started(), 2);
    fs::write(&gate, "").unwrap();
    for _ in 0..5 {
        assert!(outcome(&mut outcomes).await.result.succeeded());
    }
    until(|| runner.unfinished() == 0).await;
    runner.submit(shell("exit 0")).unwrap();
    assert!(outcome(&mut outcomes).await.result.succeeded());
}

#[tokio::test]
async fn a_stop_waits_for_its_start_and_for_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    let (runner, mut outcomes) = runner(4, 10);
    let submit = |kind, address: &str, text: String| {
        runner.submit(request(kind, address, CommandLine::Shell(text))).unwrap();
    };
    submit(CommandKind::Start, "192.0.2.7", wait_for(&gate));
    submit(CommandKind::Stop, "::ffff:192.0.2.7", "exit 1".into());
    submit(CommandKind::Start, "192.0.2.7", "exit 2".into());
    submit(CommandKind::Stop, "192.0.2.8", "exit 0".into());
    let other = outcome(&mut outcomes).await;
    assert_eq!((other.kind, other.address), (CommandKind::Stop, "192.0.2.8".parse().unwrap()));
    fs::write(&gate, "").unwrap();
    let mut codes = Vec::new();
    for _ in 0..3 {
        let CommandResult::Exited(status) = outcome(&mut outcomes).await.result else { panic!() };
        codes.push(status.code());
    }
    assert_eq!(codes, [Some(0), Some(1), Some(2)]);
}

#[tokio::test]
async fn nothing_is_left_of_a_command_that_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (runner, mut outcomes) = runner(8, 100);
    for host in 0..50 {
        let text = format!("echo $$ > {}/{host}", directory.path().display());
        runner
            .submit(request(CommandKind::Stop, &format!("192.0.2.{host}"), CommandLine::Shell(text)))
            .unwrap();
    }
    for _ in 0..50 {
        assert!(outcome(&mut outcomes).await.result.succeeded());
    }
    for host in 0..50 {
        assert!(is_gone(process_id(&directory.path().join(host.to_string())).await));
    }
}

#[tokio::test]
async fn commands_run_on_when_nobody_listens() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("second");
    let (runner, outcomes) = runner(1, 10);
    drop(outcomes);
    runner.submit(shell("exit 0")).unwrap();
    runner.submit(shell(format!("touch {}", file.display()))).unwrap();
    until(|| file.exists()).await;
    until(|| runner.unfinished() == 0).await;
}

#[tokio::test]
async fn what_waits_begins_when_the_limits_are_raised() {
    let directory = tempfile::tempdir().unwrap();
    let (gate, second) = (directory.path().join("gate"), directory.path().join("second"));
    let (runner, mut outcomes) = runner(1, 1);
    let from = |address, text| request(CommandKind::Start, address, CommandLine::Shell(text));
    runner.submit(from("192.0.2.1", wait_for(&gate))).unwrap();
    runner.submit(from("192.0.2.2", format!("touch {}", second.display()))).unwrap();
    assert!(runner.submit(from("192.0.2.3", "true".into())).is_err());
    assert!(!second.exists());
    runner.set_limits(Limits { running: NonZeroUsize::new(2).unwrap(), queued: 1 });
    assert_eq!(outcome(&mut outcomes).await.address.to_string(), "192.0.2.2");
    assert!(second.exists());
    runner.set_limits(Limits { running: NonZeroUsize::MIN, queued: 0 });
    assert!(runner.submit(from("192.0.2.4", "true".into())).is_err());
    fs::write(&gate, "").unwrap();
    assert!(outcome(&mut outcomes).await.result.succeeded());
}
