use std::net::IpAddr;
use std::time::Duration;

use knock_common::flags::FlagsCondition;
use knock_common::port::Port;

use super::*;
use crate::commands::CommandLine;
use crate::config::Interface;
use crate::config::flags::parse_flags;

fn shell(command: &str) -> Option<CommandLine> {
    Some(CommandLine::Shell(command.to_owned()))
}

#[test]
fn each_key_is_what_the_manual_says() {
    let config = meant(EVERY_KEY);
    assert_eq!(config.filter.interfaces, [Interface::Named("wan0".to_owned())]);
    let full = config.door("full").unwrap();
    let steps = [Port::tcp(5001), Port::udp(5003), Port::tcp(5002)].map(Option::unwrap);
    assert_eq!(full.sequence.next().unwrap().steps(), steps);
    assert_eq!(full.seq_timeout, Duration::from_secs(7));
    assert_eq!(Ok(full.flags), parse_flags("syn,!ack"));
    assert_eq!(full.target, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    let commands = &full.commands;
    assert_eq!(commands.start.v4, shell("/usr/bin/logger \"in: %IP%\" 'a = b' # not a comment"));
    assert_eq!(commands.start.v6, shell("/usr/bin/logger in6: %IP%"));
    assert_eq!(commands.stop.v4, shell("/usr/bin/logger out: %IP%"));
    assert_eq!(commands.stop.v6, None);
    assert_eq!(commands.cmd_timeout, Duration::from_secs(90));

    let aliases = config.door("aliases").unwrap();
    assert_eq!(aliases.seq_timeout, Duration::from_secs(3));
    assert_eq!((&aliases.commands.start.v4, &aliases.commands.start.v6), (&shell("true"), &None));

    let text = imported(EVERY_KEY).text;
    for line in [
        "syslog = true\n",
        "file = \"/var/log/knockd.log\"\n",
        "# knockd's PidFile, \"/run/knockd.pid\", has",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn what_the_file_leaves_unsaid_is_as_under_knockd() {
    let silent = door("command = true\n");
    assert_eq!(silent.seq_timeout, Duration::from_secs(25));
    assert_eq!(silent.flags, FlagsCondition::ANY);
    assert!(silent.target.is_empty());
    assert_eq!(door("command = true\nstop_command = false\n").commands.cmd_timeout, Duration::from_secs(10));
    let text = imported(EVERY_KEY).text;
    let (_, silent) = text.split_once("[doors.silent]").unwrap();
    assert!(
        silent.contains("seq_timeout = \"25s\"\ntcpflags = \"any\"\nstart_command = \"true\"\n"),
        "{silent}"
    );
    assert!(!meant("[a]\nsequence = 5\ncommand = true\n").log.stages, "without a log knockd says nothing");
}

#[test]
fn commands_of_ipv6_stand_in_for_those_that_are_absent_alone() {
    let both = |lines: &str| {
        let commands = door(lines).commands;
        [commands.start.v4, commands.start.v6, commands.stop.v4, commands.stop.v6]
            .map(|command| command.map(|command| command.to_string()).unwrap_or_default())
    };
    assert_eq!(both("command = a\nstop_command = b\n"), ["a", "a", "b", "b"]);
    assert_eq!(both("command = a\ncommand_6 = c\nstop_command = b\n"), ["a", "c", "b", "b"]);
    assert_eq!(both("command = a\nstop_command = b\nstop_command_6 = d\n"), ["a", "a", "b", "d"]);
    assert_eq!(both("command = a\nstop_command = b\nstop_command_6 =\n"), ["a", "a", "b", ""]);
    // knockd runs no stop command where it has run no start command.
    assert_eq!(both("command = a\ncommand_6 =\nstop_command = b\n"), ["a", "", "b", ""]);
    assert_eq!(both("command =\ncommand_6 = c\nstop_command = b\n"), ["", "c", "", "b"]);
    assert_eq!(both("command_6 = c\n"), ["", "c", "", ""]);
}

#[test]
fn a_door_that_only_logs_still_does() {
    for lines in ["", "command =\n", "stop_command = b\n", "command =\nstop_command_6 = b\n"] {
        let commands = door(lines).commands;
        assert_eq!((commands.start.v4, commands.stop.is_none()), (shell(":"), true), "{lines}");
    }
}

#[test]
fn flags_add_up_and_the_last_word_on_each_counts() {
    let flags = |lines: &str| door(&format!("command = a\n{lines}")).flags;
    assert_eq!(Ok(flags("tcpflags = syn,!syn\n")), parse_flags("!syn"));
    assert_eq!(Ok(flags("tcpflags = !SYN,Syn\n")), parse_flags("syn"));
    assert_eq!(Ok(flags("tcpflags = syn\nTCPFLAGS = !ack,fin\n")), parse_flags("syn,fin,!ack"));
    assert_eq!(Ok(flags("tcpflags = fin,syn,rst,psh,ack,urg\n")), parse_flags("fin,syn,rst,psh,ack,urg"));
}

#[test]
fn timeouts_at_their_ends() {
    let of = |lines: &str| {
        let door = door(&format!("command = a\nstop_command = b\n{lines}"));
        (door.seq_timeout.as_secs(), door.commands.cmd_timeout.as_millis())
    };
    assert_eq!(of("seq_timeout = 86400\ncmd_timeout = 0\n"), (86_400, 1));
    assert_eq!(of("timeout = 99999999999999999999\ncmd_timeout = 99999999999\n"), (86_400, 31_536_000_000));
    assert_eq!(of("seq_timeout = +5s\ncmd_timeout = 60 # a minute\n"), (5, 60_000));
}

#[test]
fn comments_blanks_and_line_ends() {
    let text = b"\xe9 # not UTF-8, but see below\n";
    assert!(import(text, "knockd.conf").is_err());
    let text = b"#\xe9\r\n \x0b# indented\r\n\t[a]\x0c\r\n  sequence=5,9,7\r\nCommand\t=\t a  b \r\n\n";
    let imported = import(text, "knockd.conf").unwrap();
    let config = config_of(&imported.text);
    assert_eq!(config.doors[0].commands.start.v4, shell("a  b"));
    // Without an end of its last line.
    assert_eq!(meant("[a]\nsequence = 5,9,7\ncommand = a").doors[0].commands.start.v4, shell("a"));
}

#[test]
fn thirty_two_steps_and_a_section_in_pieces() {
    let steps = (1..=32).map(|step| format!("{}", 40_000 - step)).collect::<Vec<_>>().join(",");
    let config = meant(&format!("[options]\n[a]\nsequence = {steps}\n[options]\ninterface = eth1\n"));
    assert_eq!(config.doors[0].sequence.next().unwrap().steps().len(), 32);
    assert_eq!(config.filter.interfaces, [Interface::Named("eth1".to_owned())]);
}
