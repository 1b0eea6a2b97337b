//! `check` as it is run: by anybody, on a file or on stdin.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::unistd::Uid;
use tempfile::TempDir;

const NOBODY: u32 = 65_534;

const SOUND: &str = "[doors.ssh]\nsequence = [41207, \"5481/udp\", 60122]\nopens = [\"22/tcp\"]\n";
const WEAK: &str = "[doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n";

/// A copy of the program that every user can reach.
struct Program {
    folder: TempDir,
}

impl Program {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        // A process of its own writes it: what a neighbouring test forks meanwhile would hold a copy of ours open, and no
        // file that is open for writing is run (ETXTBSY, execve(2)).
        let copied = Command::new("install")
            .arg(env!("CARGO_BIN_EXE_knock-ctl"))
            .arg(folder.path().join("knock-ctl"))
            .status()
            .unwrap();
        assert!(copied.success());
        Self { folder }
    }

    /// A file that `nobody` may read.
    fn file(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("knock.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs `check` as a user without privilege, with `input` on stdin.
    fn check(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.folder.path().join("knock-ctl"));
        command.arg("check").args(arguments).current_dir("/");
        if Uid::effective().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A call that is refused reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn stdin_is_described_to_whoever_asks() {
    let output = Program::new().check(&["-", "--offline", "--strict"], SOUND);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let text = stdout(&output);
    let (told, memory) = text.split_once("Kernel memory: at most ").unwrap();
    let expected = "\
Filters: the interfaces that \"attach\" names.
Closed: 22/tcp. Other ports are left as they are.
Everyone must knock.

Door ssh: 3 knocks within 10s.
  Strength: 51 bits, if its ports were chosen at random; a blind attacker who sends 1,000,000 packets a second needs 36 years on average.
  Opens 22/tcp to the source for 30s; connections made meanwhile live on.

";
    assert_eq!(told, expected);
    let mebibytes: u64 = memory.strip_suffix(" MiB for these limits.\n").unwrap().parse().unwrap();
    assert!((1..=64).contains(&mebibytes), "{mebibytes}");
    for port in ["41207", "5481", "60122"] {
        assert!(!text.contains(port), "{text}");
    }
}

#[test]
fn warnings_fail_only_where_they_are_to() {
    let program = Program::new();
    let loose = program.check(&["-", "--offline"], WEAK);
    assert_eq!(loose.status.code(), Some(0));
    assert_eq!(stderr(&loose).lines().filter(|line| line.starts_with("warning: stdin:2:12: ")).count(), 2);
    let strict = program.check(&["-", "--offline", "--strict"], WEAK);
    assert_eq!(strict.status.code(), Some(1));
    let said = stderr(&strict);
    assert!(said.ends_with("knock-ctl: 2 warnings found, and --strict lets none pass\n"), "{said}");
}

#[test]
fn a_file_that_others_may_read_is_warned_of_and_one_with_errors_refused() {
    let program = Program::new();
    let file = program.file(SOUND);
    let output = program.check(&[file.to_str().unwrap(), "--offline"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains(&format!("run: chmod 600 {}", file.display())), "{}", stderr(&output));

    let file = program.file("[doors.ssh]\nsequence = [0, 70000, 5]\nopnes = [\"22/tcp\"]\n");
    let output = program.check(&[file.to_str().unwrap()], "");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    let said = stderr(&output);
    assert!(said.ends_with("knock-ctl: 3 errors found\n"), "{said}");
    assert!(said.contains(":3:1: unknown key \"opnes\" in [doors.ssh]; did you mean \"opens\"?"), "{said}");
}

#[test]
fn a_knock_port_with_a_listener_is_warned_of_unless_the_host_is_not_to_be_asked() {
    // Whoever asks may not see the other's socket by its owner, but its port is listed for everybody.
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("[doors.ssh]\nsequence = [{port}, \"5/udp\", 7]\nopens = [\"22/tcp\"]\n");
    let program = Program::new();
    let online = program.check(&["-"], &text);
    let said = stderr(&online);
    assert!(
        said.contains("warning: stdin:2:12: step 1 of door \"ssh\" is a port with a listener; "),
        "{said}"
    );
    let offline = program.check(&["-", "--offline", "--strict"], &text);
    assert_eq!((offline.status.code(), stderr(&offline).as_str()), (Some(0), ""));
}
