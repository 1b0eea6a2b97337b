//! OpenSSH behind the door.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use knock_lab::OpenSsh;
use knock_tests::lab::{Machine, Process};

use crate::site::*;

const SERVERS: [IpAddr; 2] = [Machine::Server.v4(), Machine::Server.v6()];

/// What a client of a closed port waits for.
const VAINLY: Duration = Duration::from_secs(1);

in_each_mode!(ssh_comes_in_by_knocking_and_stays);

fn ssh_comes_in_by_knocking_and_stays(mode: Mode) {
    let site = Site::new(&format!("{SSH_DOOR}open_for = \"5s\"\n"));
    let lab = &site.lab;
    let openssh = OpenSsh::new(&SERVERS.map(at)).unwrap();
    let _sshd = Process::spawn(openssh.server(lab.namespace(Machine::Server))).unwrap();
    for server in SERVERS {
        eventually("sshd listens", || connect(lab, Machine::Stranger, server, SSH).is_accepted());
    }
    let mut controller = site.attach_in(mode);
    let ssh =
        |from, server, patience, remote| openssh.client(lab.namespace(from), at(server), patience, remote);

    // Of a stranger, and of a friend who has yet to knock.
    let mut strangers =
        SERVERS.map(|server| Process::spawn(ssh(Machine::Stranger, server, VAINLY, "true")).unwrap());
    let mut sessions =
        SERVERS.map(|server| Process::converse(ssh(Machine::Client, server, limit(), "cat")).unwrap());
    eventually("their first SYNs are dropped", || site.counted("no_grant") >= 4);
    let sent = TcpCounters::of(lab, Machine::Client).segments_out;
    let knocked = Instant::now();
    for server in SERVERS {
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    }
    for session in &mut sessions {
        answers(session, "the SYN that is sent again goes through");
    }
    // Kernels send a SYN again after one second and after three.
    assert!(knocked.elapsed() < Duration::from_secs(4), "{:?}", knocked.elapsed());
    assert!(TcpCounters::of(lab, Machine::Client).segments_out > sent);

    for server in SERVERS {
        let command = "echo $SSH_CONNECTION: $((6 * 7))";
        let mut process = Process::spawn(ssh(Machine::Client, server, limit(), command)).unwrap();
        assert_eq!(process.wait(limit()).unwrap().code(), Some(0));
        let said = process.said().join("\n");
        let client = Machine::Client.of_family(server);
        assert!(said.starts_with(&format!("{client} ")), "{said}");
        assert!(said.ends_with(&format!(" {server} 22: 42")), "{said}");
    }
    for stranger in &mut strangers {
        times_out(stranger);
    }

    for server in SERVERS {
        controller.expect(&format!("{}: ssh: closed", Machine::Client.of_family(server)));
    }
    let mut late =
        SERVERS.map(|server| Process::spawn(ssh(Machine::Client, server, VAINLY, "true")).unwrap());
    for session in &mut sessions {
        answers(session, "the session outlives the grant");
    }
    for client in &mut late {
        times_out(client);
    }
}

fn at(server: IpAddr) -> SocketAddr {
    SocketAddr::new(server, SSH)
}

/// The session's `cat` says what it is told.
#[track_caller]
fn answers(session: &mut Process, words: &str) {
    session.say(words).unwrap();
    session.expect_line(words, limit()).unwrap();
}

#[track_caller]
fn times_out(ssh: &mut Process) {
    assert_eq!(ssh.wait(limit()).unwrap().code(), Some(255), "{:?}", ssh.said());
    assert!(ssh.said().iter().any(|line| line.contains("port 22: Connection timed out")), "{:?}", ssh.said());
}
