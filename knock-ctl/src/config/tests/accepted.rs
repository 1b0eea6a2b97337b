use std::time::Duration;

use knock_common::flags::{FlagsCondition, TcpFlags};
use knock_common::port::{Port, PortRange, Protocol};

use super::super::*;
use super::accepted;
use crate::rules::Policy;

const MINIMAL: &str = r#"
[doors.ssh]
sequence = [31207, "5481/udp", 60122]
opens    = ["22/tcp"]
"#;

fn tcp(number: u16) -> Port {
    Port::tcp(number).unwrap()
}

fn udp(number: u16) -> Port {
    Port::udp(number).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn shell(line: &str) -> Option<CommandLine> {
    Some(CommandLine::Shell(line.to_owned()))
}

fn minimal() -> Config {
    Config {
        filter: Filter {
            interfaces: vec![],
            mode: Mode::Auto,
            policy: Policy::Pass,
            enforce: true,
            public: vec![],
            protected: vec![],
            trusted: vec![],
            protocols: vec![],
            ping: true,
            destinations: vec![],
            strict: true,
            established: Established::Keep,
        },
        doors: vec![Door {
            name: "ssh".parse().unwrap(),
            sequence: DoorSequence::Fixed(Sequence::new(vec![tcp(31207), udp(5481), tcp(60122)]).unwrap()),
            seq_timeout: seconds(10),
            flags: FlagsCondition::CONNECT,
            same_ttl: false,
            target: vec![],
            opens: Opens::Ports(vec![tcp(22).into()]),
            open_for: OpenFor::For(seconds(30)),
            connections: 0,
            revokes: vec![],
            commands: DoorCommands {
                approve: None,
                start: PerFamily::default(),
                stop: PerFamily::default(),
                cmd_timeout: seconds(10),
                run_as: None,
                time_limit: seconds(30),
            },
        }],
        limits: Limits {
            attempts: 2_097_152,
            grants: 65_536,
            flows: 262_144,
            commands: 16,
            queued_commands: 1024,
        },
        timeouts: Timeouts {
            tcp_established: seconds(432_000),
            tcp_closing: seconds(120),
            udp: seconds(180),
            icmp: seconds(30),
        },
        log: Log { stages: false, drops: false, syslog: false, file: None },
        scanners: None,
        metrics: None,
    }
}

#[test]
fn the_smallest_useful_file_has_the_defaults() {
    assert_eq!(accepted(MINIMAL).config, minimal());
}

#[test]
fn every_default_may_be_written_out() {
    let text = r#"
include = []
[filter]
interfaces = []
mode = "auto"
policy = "pass"
enforce = true
public = []
protected = []
trusted = []
protocols = []
ping = true
destinations = []
strict = true
established = "keep"
[door_defaults]
[doors.ssh]
sequence = ["31207", "5481:udp", "60122/tcp"]
seq_timeout = 10
tcpflags = "syn,!ack,!rst,!fin"
same_ttl = false
target = []
opens = ["22:tcp"]
open_for = "30s"
connections = 0
revokes = []
start_command = ""
stop_command = []
cmd_timeout = 10.0
command_time_limit = "30s"
[limits]
attempts = 2097152
grants = 65_536
flows = 0x40000
commands = 16
queued_commands = 1024
[timeouts]
tcp_established = "5d"
tcp_closing = "2m"
udp = "3m"
icmp = 30
[log]
stages = false
drops = false
syslog = false
"#;
    assert_eq!(accepted(text).config, minimal());
}

#[test]
fn every_setting_can_be_set() {
    let text = r#"
[filter]
interfaces = ["eth0", "default", "eth0"]
mode = "native"
policy = "drop"
enforce = false
public = ["80/tcp", "443/udp"]
protected = ["8000-8100/tcp"]
trusted = ["192.0.2.0/24", "::ffff:192.0.2.9", "2001:db8::/32", { from = "192.0.2.10", to = ["9100/tcp"] }, { from = "10.0.0.0/8", to = ["any"] }]
protocols = ["esp", 253, "ESP", "112"]
ping = false
destinations = ["local", "203.0.113.5", "::ffff:203.0.113.6", "2001:db8::5", "local"]
strict = false
established = "cut"
[doors.open]
sequence = [1, 2, 3]
seq_timeout = "1h 30m"
tcpflags = "any"
same_ttl = true
target = ["192.0.2.1", "::ffff:192.0.2.2", "2001:db8::1"]
opens = ["any"]
open_for = "forever"
connections = 1
command = "echo %IP%"
stop_command = ["/bin/echo", "", "%IP%"]
start_command_6 = ""
stop_command_6 = "echo six"
cmd_timeout = "500ms"
run_as = "nobody"
command_time_limit = "1m"
[doors.close]
sequence = [3, 2, 9]
tcpflags = "syn,ack,!fin"
revokes = ["open"]
[limits]
attempts = 1
grants = 2
flows = 3
commands = 4
queued_commands = 5
[timeouts]
tcp_established = "1d"
tcp_closing = 1
udp = "1m"
icmp = "5s"
[log]
stages = true
drops = true
syslog = true
file = "/var/log/knock.log"
[scanners]
ports = 1024
within = "500ms"
hold = "1d"
include_public = true
[metrics]
listen = "[::1]:9762"
"#;
    let range = |protocol, first, last| PortRange::new(protocol, first, last).unwrap();
    let trusted = |from: &str, to| Trusted { from: from.parse().unwrap(), to };
    let address = |text: &str| Destination::Address(text.parse().unwrap());
    let Door { commands: no_commands, .. } = minimal().doors.remove(0);
    let expected = Config {
        filter: Filter {
            interfaces: vec![Interface::Named("eth0".to_owned()), Interface::Default],
            mode: Mode::Native,
            policy: Policy::Drop,
            enforce: false,
            public: vec![tcp(80).into(), udp(443).into()],
            protected: vec![range(Protocol::Tcp, 8000, 8100)],
            trusted: vec![
                trusted("192.0.2.0/24", Opens::Any),
                trusted("192.0.2.9/32", Opens::Any),
                trusted("2001:db8::/32", Opens::Any),
                trusted("192.0.2.10/32", Opens::Ports(vec![tcp(9100).into()])),
                trusted("10.0.0.0/8", Opens::Any),
            ],
            protocols: [50, 253, 112].map(|number| IpProtocol::new(number).unwrap()).to_vec(),
            ping: false,
            destinations: vec![
                Destination::Local,
                address("203.0.113.5"),
                address("203.0.113.6"),
                address("2001:db8::5"),
            ],
            strict: false,
            established: Established::Cut,
        },
        doors: vec![
            Door {
                name: "open".parse().unwrap(),
                sequence: DoorSequence::Fixed(Sequence::new(vec![tcp(1), tcp(2), tcp(3)]).unwrap()),
                seq_timeout: seconds(5400),
                flags: FlagsCondition::ANY,
                same_ttl: true,
                target: ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap()).to_vec(),
                opens: Opens::Any,
                open_for: OpenFor::Forever,
                connections: 1,
                revokes: vec![],
                commands: DoorCommands {
                    approve: None,
                    start: PerFamily { v4: shell("echo %IP%"), v6: None },
                    stop: PerFamily {
                        v4: Some(CommandLine::Direct(["/bin/echo", "", "%IP%"].map(str::to_owned).to_vec())),
                        v6: shell("echo six"),
                    },
                    cmd_timeout: Duration::from_millis(500),
                    run_as: Some("nobody".to_owned()),
                    time_limit: seconds(60),
                },
            },
            Door {
                name: "close".parse().unwrap(),
                sequence: DoorSequence::Fixed(Sequence::new(vec![tcp(3), tcp(2), tcp(9)]).unwrap()),
                seq_timeout: seconds(10),
                flags: FlagsCondition::new(TcpFlags::SYN.union(TcpFlags::ACK), TcpFlags::FIN).unwrap(),
                same_ttl: false,
                target: vec![],
                opens: Opens::Ports(vec![]),
                open_for: OpenFor::For(seconds(30)),
                connections: 0,
                revokes: vec!["open".parse().unwrap()],
                commands: no_commands,
            },
        ],
        limits: Limits { attempts: 1, grants: 2, flows: 3, commands: 4, queued_commands: 5 },
        timeouts: Timeouts {
            tcp_established: seconds(86_400),
            tcp_closing: seconds(1),
            udp: seconds(60),
            icmp: seconds(5),
        },
        log: Log { stages: true, drops: true, syslog: true, file: Some("/var/log/knock.log".into()) },
        scanners: Some(ScannersRule {
            ports: 1024,
            within: Duration::from_millis(500),
            hold: seconds(86_400),
            include_public: true,
        }),
        metrics: Some("[::1]:9762".parse().unwrap()),
    };
    assert_eq!(accepted(text).config, expected);
}

#[test]
fn commands_for_ipv6_are_those_for_ipv4_unless_said() {
    let start = |more: &str| {
        let text = format!("[doors.a]\nsequence = [5, 4, 2]\nstart_command = \"four\"\n{more}");
        let commands = accepted(&text).config.doors.remove(0).commands;
        ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"]
            .map(|source| commands.start_for(&source.parse().unwrap()).cloned())
    };
    assert_eq!(start(""), [shell("four"), shell("four"), shell("four")]);
    assert_eq!(start("start_command_6 = \"six\""), [shell("four"), shell("six"), shell("four")]);
    assert_eq!(start("start_command_6 = []"), [shell("four"), None, shell("four")]);
}

#[test]
fn the_sequence_is_in_no_debug_output() {
    let debug = format!("{:?}", accepted(MINIMAL));
    assert!(debug.contains("Sequence(3 steps)"));
    assert!(!debug.contains("31207") && !debug.contains("5481") && !debug.contains("60122"));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_do_not_matter() {
    let text = format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n"));
    assert_eq!(accepted(&text).config, minimal());
}
