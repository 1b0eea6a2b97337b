//! Configurations of knockd, imported: what people copy from tutorials works as it does under knockd.

use std::fs;
use std::time::Duration;

use knock_tests::lab::{Machine, RawSocket, privileged};
use knock_tests::packet::numbers::{ACK, SYN};

use crate::site::*;

const OPEN_CLOSE: &str = "
    [options]
            UseSyslog
    [openSSH]
            sequence    = 7000,8000,9000
            seq_timeout = 5
            command     = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
            tcpflags    = syn
    [closeSSH]
            sequence    = 9000,8000,7000
            seq_timeout = 5
            command     = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
            tcpflags    = syn
";

const TIMED: &str = "
    [timedSSH]
            sequence      = 2222:udp,3333:tcp,4444:udp
            seq_timeout   = 15
            tcpflags      = syn,ack
            start_command = /usr/sbin/iptables -A INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT
            cmd_timeout   = 1
            stop_command  = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT
";

/// A site with the imported configuration, whose firewall closes port 22 to all who are not let in by a rule. Returns what
/// the importer warned of.
fn site_of(knockd: &str) -> (Site, String) {
    let site = Site::new("");
    let path = site.file("knockd.conf");
    fs::write(&path, knockd).unwrap();
    let output = site.knock_ctl(&["import", text(&path)]);
    assert!(output.status.success(), "{output:?}");
    site.configure(&String::from_utf8(output.stdout).unwrap());
    site.run(Machine::Server, &["iptables", "-P", "INPUT", "DROP"]);
    site.run(
        Machine::Server,
        &["iptables", "-A", "INPUT", "-m", "state", "--state", "ESTABLISHED", "-j", "ACCEPT"],
    );
    (site, String::from_utf8(output.stderr).unwrap())
}

/// How many rules of the server's firewall are about the client.
fn rules_for_client(site: &Site) -> usize {
    let rules = site.run(Machine::Server, &["iptables", "-S", "INPUT"]);
    let client = format!("-s {}/32 ", Machine::Client.v4());
    rules.lines().filter(|rule| rule.contains(&client)).count()
}

fn is_let_in(site: &Site, machine: Machine) -> bool {
    connect(&site.lab, machine, Machine::Server.v4(), SSH).is_accepted()
}

#[test]
fn doors_that_open_and_close_the_firewall_do_so_again_and_again() {
    if !privileged() {
        return;
    }
    let (site, _) = site_of(OPEN_CLOSE);
    let _service = Service::start(&site.lab, SSH);
    let _controller = site.attach_as_configured();
    let knock = |sequence: &[&str]| {
        stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), sequence)
    };
    for _ in 0..2 {
        assert!(!is_let_in(&site, Machine::Client));
        knock(&["7000", "8000", "9000"]);
        eventually("the firewall lets the client in", || rules_for_client(&site) == 1);
        assert!(is_let_in(&site, Machine::Client));
        assert!(!is_let_in(&site, Machine::Stranger));
        knock(&["9000", "8000", "7000"]);
        eventually("the firewall has closed", || rules_for_client(&site) == 0);
    }
    assert!(!is_let_in(&site, Machine::Client));
    // As under knockd, each knock runs the command.
    for rules in 1..=2 {
        knock(&["7000", "8000", "9000"]);
        eventually("one rule a knock", || rules_for_client(&site) == rules);
    }
}

#[test]
fn a_door_that_wants_other_flags_opens_as_under_knockd_alone() {
    if !privileged() {
        return;
    }
    let (site, warnings) = site_of(TIMED);
    assert!(warnings.contains("knockd.conf:5:13: ") && warnings.contains("SYN alone"), "{warnings}");
    let _service = Service::start(&site.lab, SSH);
    let mut controller = site.attach_as_configured();
    let (client, server) = (Machine::Client.v4(), Machine::Server.v4());
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], server, &["2222:udp", "3333:tcp", "4444:udp"]);

    let socket = site.lab.raw_socket(Machine::Client).unwrap();
    for round in 0..2 {
        knock_with_answers(&socket, round);
        controller.expect(&format!("{client}: timedSSH: OPEN SESAME"));
        eventually("the firewall lets the client in", || rules_for_client(&site) == 1);
        assert!(is_let_in(&site, Machine::Client));
        controller.expect("timedSSH: closed");
        eventually("the firewall has closed", || rules_for_client(&site) == 0);
        assert!(!is_let_in(&site, Machine::Client));
    }
    assert_eq!(controller.count("OPEN SESAME"), 2, "the stock client has opened nothing");
}

/// The sequence with SYN|ACK where it is TCP.
fn knock_with_answers(socket: &RawSocket, round: u16) {
    let knocks = [Knock::Udp(2222), Knock::Tcp(3333), Knock::Udp(4444)];
    for (number, knock) in (40_000 + 10 * round..).zip(knocks) {
        let frame = knock.frame(Machine::Client.v4(), Machine::Server.v4(), number);
        let frame = if matches!(knock, Knock::Tcp(_)) { frame.flags(SYN | ACK) } else { frame };
        socket.send(&frame.build()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_flags_that_the_importer_offers_open_it_to_the_stock_client() {
    if !privileged() {
        return;
    }
    let (site, _) = site_of(TIMED);
    let config = fs::read_to_string(site.config()).unwrap();
    site.configure(
        &config.replace("\ntcpflags = \"syn,ack\"\n", "\n").replace("\n#tcpflags = ", "\ntcpflags = "),
    );
    let _service = Service::start(&site.lab, SSH);
    let mut controller = site.attach_as_configured();
    for _ in 0..2 {
        let sequence = ["2222:udp", "3333:tcp", "4444:udp"];
        stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), &sequence);
        eventually("the firewall lets the client in", || rules_for_client(&site) == 1);
        assert!(is_let_in(&site, Machine::Client));
        controller.expect("timedSSH: closed");
        eventually("the firewall has closed", || rules_for_client(&site) == 0);
    }
}

/// What knockd and the importer have to agree about: each a whole file.
const FILES: &[&[u8]] = &[
    b"",
    b"[options]\ninterface = a\n",
    b"sequence = 1\n[a]\nsequence = 5\n",
    b"[]\n[a]\nsequence = 5\n",
    b"[a]\nsequence = 5\ncommand\n",
    b"[options]\nusesyslog = yes\n[a]\nsequence = 5\n",
    b"[a]\nsequence = 5\nUSESYSLOG\n",
    b"[a]\nsequence = 5\nlogfile = x\n",
    b"[options]\nsequence = 5\n[a]\nsequence = 5\n",
    b"[Options]\nlogfile = /x\n[a]\nsequence = 5\n",
    b"[a]\ncommand = x\n",
    b"[a]\nsequence = 5:sctp\n",
    b"[a]\nsequence = 5:\n",
    b"[a]\nsequence = 5:udp:x,6 # seven\n",
    b"[a]\nsequence = 5001, 5003:UDP ,5002 : tcp\n",
    b"[a]\nsequence = 65536\n",
    b"[a]\nsequence = 9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8\n",
    b"[a]\nsequence = 9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9,8,9\n",
    b"[a]\nsequence = 5\ntcpflags = syn, ack\n",
    b"[a]\nsequence = 5\ntcpflags =\n",
    b"[a]\nsequence = 5\ntcpflags = any\n",
    b"[a]\nsequence = 5\ntcpflags = syn,!syn,!ACK\n",
    b"[my door]\nsequence = 5\n[ ]\nsequence = 6\n[my door]\nsequence = 7\n",
    b"[a]\nsequence = 5\nsequence = 6,7\n",
    b"[a]\nsequence = 5\nseq_timeout = 5s\ncmd_timeout = 0\nTimeOut = 7\n",
    b"#\xe9\r\n \x0b# indented\r\n\t[a]\x0c\r\n  sequence=5\r\nCommand\t=\t a  b \r\n\n",
    b"[a]\nsequence = 5\n; another kind of comment\n",
    b"[a]\nsequence = 5\ncommand = x # y = z",
];

#[test]
fn files_are_taken_and_refused_as_by_knockd() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let long =
        |length: usize| [b"[a]\nsequence = 5\ncommand = ", vec![b'x'; length].as_slice(), b"\n"].concat();
    let path = site.file("knockd.conf");
    for file in FILES.iter().map(|file| file.to_vec()).chain([4084, 4085, 4086, 8000].map(long)) {
        fs::write(&path, &file).unwrap();
        let words = ["knockd", "-i", "no-such-link", "-c", text(&path)];
        let knockd = site.lab.run_in(Machine::Server, &words).unwrap();
        // It goes on to the interface, which is not there, or tells how to call it.
        let is_taken = !String::from_utf8_lossy(&knockd.stdout).contains("usage:");
        let told = String::from_utf8_lossy(&knockd.stderr).contains("could not open no-such-link");
        assert_eq!(is_taken, told, "{knockd:?}");
        let ours = site.knock_ctl(&["import", text(&path)]);
        assert_eq!(
            ours.status.success(),
            is_taken,
            "{} bytes: {}",
            file.len(),
            file[..file.len().min(80)].escape_ascii()
        );
    }
}
