use proptest::prelude::*;

use super::*;

/// Pieces of knockd's file in any order reach further than arbitrary bytes.
const PIECES: &[&[u8]] = &[
    b"[options]\n",
    b"[a]\n",
    b"[a]\nsequence = 7,5,3\n",
    b"[b.c]\nsequence = 9:udp,5,3\n",
    b"[\xc3\xa9\x0b]\nsequence = 1\n",
    b"sequence = ",
    b"One_Time_Sequences = x\n",
    b"seq_timeout = ",
    b"cmd_timeout = ",
    b"tcpflags = ",
    b"target = ",
    b"interface = ",
    b"logfile = ",
    b"pidfile = ",
    b"command = ",
    b"Command_6 = ",
    b"stop_command = ",
    b"stop_command_6 =\n",
    b"UseSyslog\n",
    b"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
    b"iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
    b"eth0",
    b"/var/log/x",
    b"::ffff:192.0.2.1",
    b"7000",
    b"99999999999999999999",
    b"0",
    b":udp",
    b"!syn",
    b"ack",
    b"\"\"\"'''\\",
    b"\x01\x7f",
    b"\r",
    b"\t",
    b"\0",
    b"\xff",
    b"#",
    b"=",
    b",",
    b"%IP%",
    b"]",
    b"\n",
    b"\n",
];

fn judge(bytes: &[u8]) {
    match import(bytes, "knockd.conf") {
        Ok(imported) => {
            config_of(&imported.text);
            for warning in &imported.warnings {
                assert!(!warning.help.is_empty() && !warning.to_string().contains('\n'), "{warning}");
            }
        }
        Err(errors) => {
            for error in errors.diagnostics() {
                assert!(!error.message.is_empty() && !error.help.is_empty());
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        judge(&bytes);
    }

    #[test]
    fn arbitrary_files_are_judged(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        judge(&pieces.concat());
    }

    #[test]
    fn any_command_is_the_same_command(command in "[^\\x00\n]{1,200}") {
        let meant = command.trim_matches([' ', '\t', '\r', '\x0b', '\x0c']);
        prop_assume!(!meant.trim().is_empty() && command.len() < 4000);
        let commands = door(&format!("command = {command}\n")).commands;
        let shell = Some(crate::commands::CommandLine::Shell(meant.to_owned()));
        prop_assert_eq!(&commands.start.v4, &shell);
    }
}
