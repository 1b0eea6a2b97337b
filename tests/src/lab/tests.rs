//! The lab itself.

use super::*;
use crate::packet::Frame;
use crate::packet::numbers::*;
use std::path::Path;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn machines_reach_the_server_over_both_families() {
    if !privileged() {
        return;
    }
    let lab = Lab::with_queues(2).unwrap();
    for machine in [Machine::Client, Machine::Stranger] {
        for address in [Machine::Server.v4(), Machine::Server.v6()] {
            let output = lab.run_in(machine, &["ping", "-c", "1", "-W", "5", &address.to_string()]).unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }
    let queues = "/sys/class/net/eth0/queues";
    // /sys shows the namespace that it was mounted in, so look through a mount of the server's own.
    let script = format!("mount -t sysfs sysfs /sys && ls {queues}");
    let output = lab.run_in(Machine::Server, &["unshare", "--mount", "sh", "-c", &script]).unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listing.split_whitespace().collect::<Vec<_>>(), ["rx-0", "rx-1", "tx-0", "tx-1"]);
}

#[test]
fn a_client_is_seen_under_its_own_address() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    let at = SocketAddr::new(Machine::Server.v4(), 0);
    let listener = lab.enter(Machine::Server, || TcpListener::bind(at)).unwrap().unwrap();
    let to = listener.local_addr().unwrap();
    for machine in [Machine::Client, Machine::Stranger] {
        let _stream = lab.enter(machine, || TcpStream::connect(to)).unwrap().unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), machine.v4());
    }
}

#[test]
fn raw_frames_arrive_with_all_their_tags_but_the_outer_one() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    let (sender, receiver) =
        (lab.raw_socket(Machine::Client).unwrap(), lab.raw_socket(Machine::Server).unwrap());
    let frame = Frame::udp(Machine::Client.v4(), Machine::Server.v4()).ports(1, 2).payload(b"a raw frame");
    // The server's complaint about the closed port quotes the frame.
    let is_for_server = |frame: &[u8]| frame.starts_with(&Machine::Server.mac());
    for tags in [&[][..], &[(CTAG, 7)], &[(STAG, 8), (CTAG, 7)]] {
        let tagged = tags.iter().fold(frame.clone(), |frame, &(tpid, vid)| frame.vlan(tpid, vid)).build();
        sender.send(&tagged).unwrap();
        let arrived = receiver
            .receive(LIMIT, |frame| is_for_server(frame) && frame.ends_with(b"a raw frame"))
            .unwrap()
            .unwrap();
        let untagged: Vec<u8> = match tags {
            [] => tagged,
            _ => [&tagged[..12], &tagged[16..]].concat(),
        };
        assert_eq!(arrived, untagged);
    }
}

#[test]
fn a_raw_datagram_reaches_the_servers_socket() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    let at = SocketAddr::new(Machine::Server.v6(), 0);
    let socket = lab.enter(Machine::Server, || std::net::UdpSocket::bind(at)).unwrap().unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let frame = Frame::udp(Machine::Client.v6(), Machine::Server.v6()).ports(5, port).payload(b"hello");
    lab.raw_socket(Machine::Client).unwrap().send(&frame.build()).unwrap();
    let mut buffer = [0; 16];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from.ip(), from.port()), (&b"hello"[..], Machine::Client.v6(), 5));
}

#[test]
fn processes_tell_their_lines_and_their_end() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    let script = "echo one; echo two >&2; read never; exit 3";
    let mut process = lab.spawn_in(Machine::Client, &["sh", "-c", script]).unwrap();
    process.expect_line("two", LIMIT).unwrap();
    assert_eq!(process.wait(LIMIT).unwrap().code(), Some(3));
    let mut said = process.said().to_vec();
    said.sort_unstable();
    assert_eq!(said, ["one", "two"]);
    let ended = process.expect_line("three", LIMIT).unwrap_err().to_string();
    assert!(ended.starts_with("it ended without"), "{ended}");
}

#[test]
fn nothing_is_left_behind() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    let paths = Machine::ALL.map(|machine| lab.namespace(machine).path());
    let mut process = lab.spawn_in(Machine::Server, &["sh", "-c", "sleep 1000 & echo $!; wait"]).unwrap();
    let grandchild = process.expect_line("", LIMIT).unwrap();
    assert!(Path::new(&format!("/proc/{grandchild}")).exists());
    drop(lab);
    assert!(paths.iter().all(|path| !path.exists()));
    assert!(process.wait(LIMIT).is_ok(), "the pipes are closed only when the whole family has ended");
}
