use std::time::Duration;

use knock_common::port::Port;

use super::*;
use crate::commands::CommandLine;
use crate::config::Interface;
use crate::config::flags::parse_flags;

const DEBIAN: &str = "[options]
	UseSyslog

[openSSH]
	sequence    = 7000,8000,9000
	seq_timeout = 5
	command     = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
	tcpflags    = syn

[openHTTPS]
	sequence    = 12345,54321,24680,13579
	seq_timeout = 5
	command     = /usr/local/sbin/knock_add -i -c INPUT -p tcp -d 443 -f %IP%
	tcpflags    = syn
";

fn tcp(steps: &[u16]) -> Vec<Port> {
    steps.iter().map(|&step| Port::tcp(step).unwrap()).collect()
}

#[test]
fn a_door_that_opens_and_one_that_closes() {
    let config = meant(OPEN_CLOSE);
    assert!(!config.filter.strict);
    assert!(config.log.stages);
    assert_eq!(config.filter.interfaces, [Interface::Named("eth0".to_owned())]);
    let [open, close] = config.doors.as_slice() else { panic!("two doors") };
    for (door, name, steps, action) in
        [(open, "openSSH", [7000, 8000, 9000], "-A"), (close, "closeSSH", [9000, 8000, 7000], "-D")]
    {
        assert_eq!(door.name.as_str(), name);
        assert_eq!(door.sequence.next().unwrap().steps(), tcp(&steps));
        assert_eq!(door.seq_timeout, Duration::from_secs(5));
        assert_eq!(Ok(door.flags), parse_flags("syn"));
        let command = format!("/sbin/iptables {action} INPUT -s %IP% -p tcp --dport 22 -j ACCEPT");
        let command = Some(CommandLine::Shell(command));
        assert_eq!((&door.commands.start.v4, &door.commands.start.v6), (&command, &command));
        assert!(door.commands.stop.is_none() && door.opens.is_nothing() && door.revokes.is_empty());
        assert_eq!(door.commands.time_limit, Duration::from_secs(86_400));
    }
    assert!(config.log.syslog);
    assert_eq!(config.log.file.as_deref(), Some(Path::new("/var/log/knockd.log")));
    assert_eq!(warnings_of(OPEN_CLOSE), [""; 0]);
}

#[test]
fn one_that_closes_by_itself_and_that_the_stock_client_does_not_open() {
    let config = meant(TIMED);
    let [door] = config.doors.as_slice() else { panic!("one door") };
    let steps = [Port::udp(2222), Port::tcp(3333), Port::udp(4444)].map(Option::unwrap);
    assert_eq!(door.sequence.next().unwrap().steps(), steps);
    assert_eq!(Ok(door.flags), parse_flags("syn,ack"));
    assert_eq!(door.commands.cmd_timeout, Duration::from_secs(10));
    let stop = "/usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT";
    assert_eq!(door.commands.stop.v6, Some(CommandLine::Shell(stop.to_owned())));
    let warned = warnings_of(TIMED).into_iter().find(|warning| warning.contains("SYN alone")).unwrap();
    assert!(
        warned.starts_with("knockd.conf:6:9: ") && warned.ends_with("; write tcpflags = syn to have it open")
    );

    let opened =
        imported(TIMED).text.replace("\ntcpflags = \"syn,ack\"\n", "\n").replace("#tcpflags", "tcpflags");
    assert_eq!(Ok(config_of(&opened).doors[0].flags), parse_flags("syn"));
}

#[test]
fn debians_own_file() {
    let config = meant(DEBIAN);
    let names: Vec<_> = config.doors.iter().map(|door| door.name.as_str()).collect();
    assert_eq!(names, ["openSSH", "openHTTPS"]);
    assert_eq!(config.doors[1].sequence.next().unwrap().steps(), tcp(&[12345, 54321, 24680, 13579]));
    assert!(!imported(DEBIAN).text.contains("443/tcp"), "what an unknown program does is not guessed");
}

#[test]
fn one_time_sequences_are_kept_as_their_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp_sequences").display().to_string();
    std::fs::write(&path, " 5001,5003,5002\n").unwrap();
    let text = imported(&ONE_TIME.replace("/etc/knockd/smtp_sequences", &path)).text;
    assert!(text.contains(&format!("one_time_sequences = \"{path}\"\n")));
    for line in [
        "tcpflags = \"fin,!ack\"\n",
        "start_command_6 = \"/usr/sbin/ip6tables -A INPUT -s %IP% -p tcp --dport 25 -j ACCEPT\"\n",
        "cmd_timeout = \"5s\"\n",
        "#opens = [\"25/tcp\"]\n",
        "#open_for = \"5s\"\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
}
