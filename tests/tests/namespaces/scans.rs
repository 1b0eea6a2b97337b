//! Scans and mistaken sequences open nothing; what networks do to honest sequences does no harm.

use std::time::Duration;

use knock_tests::lab::{Machine, privileged};

use crate::site::*;

const UDP_DOOR: &str =
    "[doors.vpn]\nsequence = [\"7000/udp\", \"8000/udp\", \"9000/udp\"]\nopens = [\"23/tcp\"]\n";

in_each_mode!(
    a_full_ascending_scan_opens_nothing,
    a_full_scan_in_random_order_opens_nothing,
    a_udp_scan_opens_nothing,
    knocks_that_arrive_twice_open,
    a_client_that_hangs_goes_through_when_its_user_knocks,
);

fn a_full_ascending_scan_opens_nothing(mode: Mode) {
    a_scan_opens_nothing(mode, &["-sS", "-r", "-p1-65535"]);
}

fn a_full_scan_in_random_order_opens_nothing(mode: Mode) {
    a_scan_opens_nothing(mode, &["-sS", "-p1-65535"]);
}

fn a_udp_scan_opens_nothing(mode: Mode) {
    a_scan_opens_nothing(mode, &["-sU", "-r", "-p6900-9100"]);
}

fn a_scan_opens_nothing(mode: Mode, options: &[&str]) {
    let site = Site::new(&format!("{SSH_DOOR}{UDP_DOOR}"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach_in(mode);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let family = if server.is_ipv6() { &["-6"][..] } else { &[] };
        let target = server.to_string();
        let common = ["nmap", "-Pn", "-n", "--min-rate", "20000", "--max-retries", "0", "-oG", "-", &target];
        let report = site.run(Machine::Client, &[&common, family, options].concat());
        assert!(report.contains("# Nmap done"), "{report}");
        assert!(!report.contains("/open/"), "{report}");
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        // The scanner opens the door too, once it knows how; nothing was opened before.
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        controller.expect("ssh: OPEN SESAME");
    }
    assert_eq!(controller.count("OPEN SESAME"), 2);
}

#[test]
fn a_udp_scan_of_tcp_knock_ports_in_their_order_opens_nothing() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        stock_knock(lab, Machine::Client, &["-u", "-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    }
    assert_eq!(controller.count("OPEN SESAME"), 0);
}

#[test]
fn wrong_missing_swapped_and_late_knocks_open_nothing() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("{SSH_DOOR}seq_timeout = \"1s\"\n"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let mut controller = site.attach(&[]);
    let attempts: [(&[&str], &str); 8] = [
        (&["7000", "8000"], "5"),
        (&["8000", "9000"], "5"),
        (&["7000", "9000"], "5"),
        (&["7000", "9000", "8000"], "5"),
        (&["8000", "7000", "9000"], "5"),
        (&["7000", "8000", "8001", "9000"], "5"),
        (&["7000", "8000:udp", "9000"], "5"),
        // 1.2 s from the first to the last.
        (SSH_SEQUENCE, "600"),
    ];
    for (opened, server) in [Machine::Server.v4(), Machine::Server.v6()].into_iter().enumerate() {
        for (sequence, pause) in attempts {
            // What is left of the attempt before begins anew or is given up.
            stock_knock(lab, Machine::Client, &[], server, &["1"]);
            stock_knock(lab, Machine::Client, &["-d", pause], server, sequence);
            let answer = connect_within(lab, Machine::Client, server, SSH, Duration::from_millis(300));
            assert!(answer.is_silence(), "{sequence:?}");
        }
        assert_eq!(controller.count("OPEN SESAME"), opened);
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        controller.expect("OPEN SESAME");
    }
}

fn knocks_that_arrive_twice_open(mode: Mode) {
    let site = Site::new(&format!("{SSH_DOOR}{UDP_DOOR}"));
    let lab = &site.lab;
    let (_ssh, _vpn) = (Service::start(lab, SSH), Service::start(lab, 23));
    let _controller = site.attach_in(mode);
    let server = Machine::Server.v4();
    for (number, port) in SSH_SEQUENCE.iter().enumerate() {
        // The same source port and sequence number twice, as in a retransmission.
        let source_port = (5000 + number).to_string();
        let target = server.to_string();
        let hping = ["hping3", "--syn", "--count", "2", "--interval", "u2000", "--keep", "--baseport"];
        let rest = [&source_port, "--setseq", "77", "--destport", port, &target];
        // It fails where nothing answers.
        lab.run_in(Machine::Client, &[&hping[..], &rest[..]].concat()).unwrap();
    }
    assert!(connect(lab, Machine::Client, server, SSH).is_accepted());

    let sequence = [7000, 8000, 9000].map(Knock::Udp);
    for (stranger, server) in
        [(Machine::Stranger.v4(), Machine::Server.v4()), (Machine::Stranger.v6(), Machine::Server.v6())]
    {
        let socket = lab.raw_socket(Machine::Stranger).unwrap();
        for (number, knock) in (0..).zip(sequence) {
            let frame = knock.frame(stranger, server, 6000 + number).build();
            socket.send(&frame).unwrap();
            socket.send(&frame).unwrap();
        }
        assert!(connect(lab, Machine::Stranger, server, 23).is_accepted());
    }
}

fn a_client_that_hangs_goes_through_when_its_user_knocks(mode: Mode) {
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    for (number, server) in (1..).zip([Machine::Server.v4(), Machine::Server.v6()]) {
        let target = server.to_string();
        let before = TcpCounters::of(lab, Machine::Client).segments_out;
        let mut client =
            lab.spawn_in(Machine::Client, &["nc", "-v", "-n", "-w", "15", &target, "22"]).unwrap();
        eventually("the SYN is on its way", || TcpCounters::of(lab, Machine::Client).segments_out > before);
        assert_eq!(service.accepted(), number - 1);
        stock_knock(lab, Machine::Client, &["-d", "20"], server, SSH_SEQUENCE);
        client.expect_line("succeeded", limit()).unwrap();
        eventually("it is accepted", || service.accepted() == number);
    }
}
