//! Who need not knock, and a filter that only looks on.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use knock_tests::lab::{Machine, privileged};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::{CTAG, STAG};

use crate::site::*;

#[test]
fn an_audit_drops_nothing_and_counts_what_would_be_dropped() {
    audit(SSH_DOOR, &["--audit"]);
}

#[test]
fn enforce_false_drops_nothing_and_counts_what_would_be_dropped() {
    audit(&format!("[filter]\nenforce = false\n{SSH_DOOR}"), &[]);
}

fn audit(config: &str, arguments: &[&str]) {
    if !privileged() {
        return;
    }
    let site = Site::new(config);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach(arguments);
    assert_eq!(site.status()["enforce"], false);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let mut stream = connect(lab, Machine::Stranger, server, SSH).stream();
        assert!(carries_data(&mut stream, limit()));
    }
    let status = site.status();
    assert_eq!(status["counters"]["drop"], 0);
    assert_eq!(status["counters"]["by_reason"]["no_grant"], 0);
    // The SYN, what acknowledges its answer, and the data, of each family.
    assert!(site.counted("would_drop") >= 4, "{status}");
    // Every rule runs.
    stock_knock(lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    let before = site.counted("would_drop");
    let granted = site.counted("granted");
    let mut stream = connect(lab, Machine::Client, Machine::Server.v4(), SSH).stream();
    assert!(carries_data(&mut stream, limit()));
    assert_eq!(site.counted("would_drop"), before);
    assert!(site.counted("granted") > granted);
}

#[test]
fn trusted_addresses_need_not_knock() {
    if !privileged() {
        return;
    }
    let site = Site::new(
        "[filter]\nprotected = [\"22/tcp\", \"9100/tcp\", \"9100/udp\"]\ntrusted = [\"10.77.0.2\", \"fd00:77::2/128\",\n\
         { from = \"10.77.0.3\", to = [\"9100/tcp\"] }, { from = \"fd00:77::3\", to = [\"9100/tcp\"] }]\n",
    );
    let lab = &site.lab;
    let _services = [SSH, 9100].map(|port| Service::start(lab, port));
    let _controller = site.attach(&[]);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        for port in [SSH, 9100] {
            assert!(connect(lab, Machine::Client, server, port).is_accepted());
        }
        assert!(connect(lab, Machine::Stranger, server, 9100).is_accepted());
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
        assert!(datagram_arrives(&site, Machine::Client, server, 9100));
        assert!(!datagram_arrives(&site, Machine::Stranger, server, 9100));
    }
}

#[test]
fn trusted_prefixes_need_not_knock() {
    if !privileged() {
        return;
    }
    // 10.77.0.2 and fd00:77::2 are within, 10.77.0.3 and fd00:77::3 are without: the prefixes end before their last bit.
    let site = Site::new(
        "[filter]\nprotected = [\"22/tcp\"]\ntrusted = [\"10.77.0.0/24\", { from = \"fd00:77::/64\", to = [\"22/tcp\"] }]\n",
    );
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        for machine in [Machine::Client, Machine::Stranger] {
            assert!(connect(lab, machine, server, SSH).is_accepted());
        }
    }
    assert!(controller.terminate().success());
    site.configure(
        "[filter]\nprotected = [\"22/tcp\"]\ntrusted = [\"10.77.0.2/32\", { from = \"fd00:77::2/127\", to = [\"22/tcp\"] }, \"10.77.1.0/24\"]\n",
    );
    let _controller = site.attach(&[]);
    let stranger_is_in = |server: IpAddr| connect(lab, Machine::Stranger, server, SSH).is_accepted();
    assert!(connect(lab, Machine::Client, Machine::Server.v4(), SSH).is_accepted());
    assert!(!stranger_is_in(Machine::Server.v4()));
    // ::2 and ::3 are one /127.
    assert!(connect(lab, Machine::Client, Machine::Server.v6(), SSH).is_accepted());
    assert!(stranger_is_in(Machine::Server.v6()));
}

/// Whether a datagram to a protected port comes through.
fn datagram_arrives(site: &Site, from: Machine, server: IpAddr, port: u16) -> bool {
    let bind = |machine, at| site.lab.enter(machine, move || UdpSocket::bind(at)).unwrap().unwrap();
    let receiver = bind(Machine::Server, SocketAddr::new(server, port));
    let source = if server.is_ipv4() { from.v4() } else { from.v6() };
    let sender = bind(from, SocketAddr::new(source, 0));
    let counted = |reason| site.counted(reason);
    let (dropped, trusted) = (counted("no_grant"), counted("trusted"));
    sender.send_to(b"hello", (server, port)).unwrap();
    eventually("it has had its verdict", || counted("no_grant") + counted("trusted") > dropped + trusted);
    let arrived = counted("trusted") > trusted;
    receiver.set_nonblocking(true).unwrap();
    if arrived {
        eventually("it is there", || receiver.recv(&mut [0; 16]).is_ok());
    } else {
        assert!(receiver.recv(&mut [0; 16]).is_err());
    }
    arrived
}

in_each_mode!(tagged_knocks_count);

fn tagged_knocks_count(mode: Mode) {
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    lab.keep_tags_in_frames().unwrap();
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach_in(mode);
    let socket = lab.raw_socket(Machine::Client).unwrap();
    let tag = |frame: Frame, tags: &[(u16, u16)]| {
        tags.iter().fold(frame, |frame, &(tpid, id)| frame.vlan(tpid, id)).build()
    };
    // Three tags are nobody's.
    let malformed = site.counted("malformed");
    for (client, server) in
        [(Machine::Client.v4(), Machine::Server.v4()), (Machine::Client.v6(), Machine::Server.v6())]
    {
        let send_all = |tags: &[(u16, u16)]| {
            for (number, port) in (0..).zip([7000, 8000, 9000]) {
                let frame = Knock::Tcp(port).frame(client, server, 6000 + number);
                socket.send(&tag(frame, tags)).unwrap();
            }
        };
        send_all(&[(STAG, 5), (CTAG, 6), (CTAG, 7)]);
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        for tags in [&[(CTAG, 7)][..], &[(CTAG, 0)], &[(STAG, 8), (CTAG, 7)]] {
            send_all(tags);
            assert!(connect(lab, Machine::Client, server, SSH).is_accepted(), "{tags:?}");
            controller.expect(&format!("{client}: ssh: OPEN SESAME"));
            assert!(site.knock_ctl(&["revoke", &client.to_string()]).status.success());
            assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        }
    }
    assert_eq!(site.counted("malformed"), malformed + 6);

    // The kernel takes tags with the number 0 off by itself: they are no way around the filter.
    let before = TcpCounters::of(lab, Machine::Server);
    let no_grant = site.counted("no_grant");
    let stranger = lab.raw_socket(Machine::Stranger).unwrap();
    for tags in [&[(CTAG, 0)][..], &[(STAG, 0), (CTAG, 0)]] {
        let frame = Frame::tcp(Machine::Stranger.v4(), Machine::Server.v4()).ports(1234, SSH);
        stranger.send(&tag(frame, tags)).unwrap();
    }
    eventually("both are dropped", || site.counted("no_grant") == no_grant + 2);
    assert_eq!(TcpCounters::of(lab, Machine::Server), before);
}
