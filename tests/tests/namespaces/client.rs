//! The client as people run it: by a name from hosts.toml, below ssh, and with one-time sequences.

use std::fs::{self, Permissions};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use knock_lab::OpenSsh;
use knock_tests::lab::{Machine, Process, privileged};

use crate::site::*;

const SERVERS: [IpAddr; 2] = [Machine::Server.v4(), Machine::Server.v6()];

/// Steps that are nowhere else in a command line or an environment.
const PORTS: [&str; 3] = ["41207", "5481", "60122"];

/// A grant is used up by one connection: the one by which the client waits must be the one that is kept.
const DOOR: &str = "\
[doors.ssh]
sequence = [41207, \"5481/udp\", 60122]
opens = [\"22/tcp\"]
connections = 1
";

fn host(name: &str, address: IpAddr) -> String {
    format!(
        "[hosts.{name:?}]\naddress = \"{address}\"\nsequence = [41207, \"5481/udp\", 60122]\ndelay = \"5ms\"\nwait = 22\n"
    )
}

/// Writes the hosts.toml that [`client`] finds.
fn know_hosts(site: &Site, text: &str, mode: u32) -> PathBuf {
    let file = site.file("config/knock/hosts.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    file
}

fn client(site: &Site, arguments: &[&str]) -> Command {
    let mut command = site.lab.namespace(Machine::Client).command(program());
    command.arg("knock").args(arguments).env("XDG_CONFIG_HOME", site.file("config"));
    command
}

/// Runs a command that is told `input`, and then that there is no more.
fn run_with_input(mut command: Command, input: Vec<u8>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || to.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Bytes of all values, more than fits into any buffer on the way.
fn many_bytes() -> Vec<u8> {
    (0..2_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_named_host_is_knocked_at_and_its_sequence_stays_out_of_the_list_of_processes() {
    if !privileged() {
        return;
    }
    let site = Site::new(DOOR);
    let service = Service::start(&site.lab, SSH);
    let _controller = site.attach(&[]);
    know_hosts(&site, &format!("{}{}", host("web", SERVERS[0]), host("web6", SERVERS[1])), 0o600);
    for (number, name) in (1..).zip(["web", "web6"]) {
        let mut session = Process::converse(client(&site, &[name, "--stdio"])).unwrap();
        session.say("who is there?").unwrap();
        session.expect_line("who is there?", limit()).unwrap();
        let process = PathBuf::from(format!("/proc/{}", session.id()));
        let shown = ["cmdline", "environ", "comm"].map(|file| fs::read(process.join(file)).unwrap());
        let shown = String::from_utf8_lossy(&shown.concat()).into_owned();
        assert!(shown.contains("--stdio"), "{shown}");
        for port in PORTS {
            assert!(!shown.contains(port), "{shown}");
        }
        assert_eq!(service.accepted(), number, "one connection each");
        assert_eq!(session.said(), ["who is there?"], "nothing but the stream");
    }
}

#[test]
fn the_end_of_stdin_ends_the_sending_alone_and_stdout_holds_the_stream_alone() {
    if !privileged() {
        return;
    }
    let site = Site::new(DOOR);
    let _service = Service::start(&site.lab, SSH);
    let _controller = site.attach(&[]);
    know_hosts(&site, &host("web", SERVERS[0]), 0o600);
    let output = run_with_input(client(&site, &["web", "--wait", "22", "--stdio", "-v"]), many_bytes());
    assert!(output.status.success(), "{:?}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == many_bytes(), "{} bytes came back", output.stdout.len());
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 3, "each knock is told of on stderr");
}

#[test]
fn the_end_of_the_other_side_ends_the_client_though_stdin_is_open() {
    if !privileged() {
        return;
    }
    let site = Site::new(DOOR);
    let at = SocketAddr::new(SERVERS[0], SSH);
    let listener = site.lab.enter(Machine::Server, || TcpListener::bind(at)).unwrap().unwrap();
    let farewell = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"bye").unwrap());
    let _controller = site.attach(&[]);
    know_hosts(&site, &host("web", SERVERS[0]), 0o600);
    let mut session = Process::converse(client(&site, &["web", "--stdio"])).unwrap();
    assert_eq!(session.wait(limit()).unwrap().code(), Some(0));
    assert_eq!(session.said(), ["bye"]);
    farewell.join().unwrap();
}

#[test]
fn ssh_knocks_its_way_in_by_its_proxy_command() {
    if !privileged() {
        return;
    }
    let site = Site::new(DOOR);
    let at = |server| SocketAddr::new(server, SSH);
    let openssh = OpenSsh::new(&SERVERS.map(at)).unwrap();
    let _sshd = Process::spawn(openssh.server(site.lab.namespace(Machine::Server))).unwrap();
    for server in SERVERS {
        eventually("sshd listens", || connect(&site.lab, Machine::Stranger, server, SSH).is_accepted());
    }
    let _controller = site.attach(&[]);
    let hosts = SERVERS.map(|server| host(&server.to_string(), server)).concat();
    know_hosts(&site, &hosts, 0o600);
    let proxy = format!("ProxyCommand={} knock %h --wait %p --stdio", program().display());
    for server in SERVERS {
        let machine = site.lab.namespace(Machine::Client);
        let mut ssh =
            openssh.client_with(machine, at(server), limit(), &[&proxy], "cat; echo $((6 * 7)) >&2; exit 3");
        ssh.env("XDG_CONFIG_HOME", site.file("config"));
        let output = run_with_input(ssh, many_bytes());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "42\n");
        assert_eq!(output.status.code(), Some(3), "the remote command's");
        assert!(output.stdout == many_bytes(), "{} bytes came back", output.stdout.len());
    }
}

#[test]
fn a_port_that_does_not_open_is_told_on_stderr_alone() {
    if !privileged() {
        return;
    }
    let site = Site::new(DOOR);
    let _controller = site.attach(&[]);
    let server = SERVERS[0].to_string();
    let output =
        client(&site, &[&server, "41207", "--wait", "22", "--stdio"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let expected =
        format!("knock-ctl: {server} was knocked at, but 22/tcp did not answer within 5 seconds\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

#[test]
fn each_line_of_a_one_time_file_opens_once() {
    if !privileged() {
        return;
    }
    let site = Site::new(&DOOR.replace("connections = 1\n", ""));
    let _service = Service::start(&site.lab, SSH);
    let _controller = site.attach(&[]);
    let lines = site.file("lines");
    fs::write(&lines, "# mine\n 41207,5481:udp,60122\n 5,7,6\n").unwrap();
    fs::set_permissions(&lines, Permissions::from_mode(0o600)).unwrap();
    let hosts = format!("[hosts.web]\naddress = \"{}\"\none_time = \"../../lines\"\n", SERVERS[0]);
    know_hosts(&site, &hosts, 0o600);

    let first = client(&site, &["web", "--wait", "22"]).output().unwrap();
    assert!(first.status.success(), "{first:?}");
    let said = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(said.ends_with("/lines: 1 unused sequence is left\n"), "{said}");
    assert_eq!(fs::read_to_string(&lines).unwrap(), "# mine\n#41207,5481:udp,60122\n 5,7,6\n");
    assert_eq!(site.grants(), [(Machine::Client.v4().to_string(), "ssh".to_owned())]);

    let second = client(&site, &[&SERVERS[1].to_string(), "--one-time", text(&lines)]).output().unwrap();
    assert!(second.status.success(), "{second:?}");
    assert_eq!(fs::read_to_string(&lines).unwrap(), "# mine\n#41207,5481:udp,60122\n#5,7,6\n");
    assert_eq!(site.grants().len(), 1, "another sequence opens nothing");

    let third = client(&site, &["web"]).output().unwrap();
    assert_eq!(third.status.code(), Some(1));
    let said = String::from_utf8_lossy(&third.stderr).into_owned();
    assert!(said.contains("no unused line is left"), "{said}");
}

#[test]
fn nothing_is_sent_for_a_host_that_is_not_known_or_a_file_that_others_may_read() {
    if !privileged() {
        return;
    }
    let site = Site::new(DOOR);
    let _controller = site.attach(&[]);
    let file = know_hosts(&site, &host("web", SERVERS[0]), 0o644);
    let readable = client(&site, &["web"]).output().unwrap();
    assert_eq!(readable.status.code(), Some(1));
    let said = String::from_utf8_lossy(&readable.stderr).into_owned();
    assert!(said.trim_end().ends_with(&format!("run: chmod 600 {}", file.display())), "{said}");

    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let unknown = client(&site, &["wbe"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains("knock-ctl knock wbe PORT PORT PORT") && said.contains(text(&file)), "{said}");
    assert!(site.grants().is_empty());
}
