use super::errors_of;

/// Asserts what a whole file yields.
pub(super) fn refused(text: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|line| format!("knock.toml:{line}")).collect();
    assert_eq!(errors_of(text).lines().collect::<Vec<_>>(), expected, "{text}");
}

/// Asserts what one line in the section of an otherwise sound door yields; `expected` begins with the column.
fn refused_in_door(line: &str, expected: &str) {
    let sequence = if line.starts_with("sequence") { "" } else { "sequence = [41207, 5481, 60122]" };
    let opens = if line.starts_with("opens") { "" } else { "opens = [\"22/tcp\"]" };
    refused(&format!("[doors.ssh]\n{sequence}\n{opens}\n{line}\n"), &[&format!("4:{expected}")]);
}

pub(super) fn refused_in(section: &str, line: &str, expected: &str) {
    refused(&format!("[{section}]\n{line}\n"), &[&format!("2:{expected}")]);
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    refused_in_door("seqence = [1]", "1: unknown key \"seqence\" in [doors.ssh]; did you mean \"sequence\"?");
    refused_in_door(
        "Timeout = 5",
        "1: unknown key \"Timeout\" in [doors.ssh]; did you mean \"seq_timeout\"?",
    );
    refused_in("filter", "pubilc = []", "1: unknown key \"pubilc\" in [filter]; did you mean \"public\"?");
    refused_in("log", "x = 1", "1: unknown key \"x\" in [log]; known here: stages, drops, syslog, file");
    refused("[fliter]\n", &["1:2: unknown section \"fliter\"; did you mean \"filter\"?"]);
    refused(
        "policy = \"pass\"\n",
        &[
            "1:1: unknown key \"policy\" outside any section; known here: include, filter, door_defaults, doors, \
         limits, timeouts, log, scanners, metrics",
        ],
    );
    let trusted = "trusted = [{ from = \"192.0.2.1\", too = [] }]";
    let expected = "34: unknown key \"too\" in an entry of \"trusted\"; did you mean \"to\"?";
    refused_in("filter", trusted, expected);
    // A key that was probably meant is not missing too.
    let text = "[doors.ssh]\nseqence = [1]\nopens = [\"22/tcp\"]\n";
    refused(text, &["2:1: unknown key \"seqence\" in [doors.ssh]; did you mean \"sequence\"?"]);
}

#[test]
fn ports_say_what_to_write() {
    let number = "write a number from 1 to 65535";
    for (entry, expected) in [
        ("22", "this port names no protocol; write \"22/tcp\"".to_owned()),
        ("\"22\"", "this port names no protocol; write \"22/tcp\"".to_owned()),
        ("\"22-25\"", "this port names no protocol; write \"22-25/tcp\"".to_owned()),
        ("0", format!("there is no port 0; {number}")),
        ("\"0/udp\"", format!("there is no port 0; {number}")),
        ("65536", format!("ports end at 65535; {number}")),
        ("\"9-5/udp\"", "this range runs backwards; write \"5-9/udp\"".to_owned()),
        (
            "\"22/sctp\"",
            "the protocol of a port is tcp or udp; write it as in \"22/tcp\" or \"53/udp\"".to_owned(),
        ),
        ("\"ssh/tcp\"", format!("this is not a port; {number} and its protocol, as in \"22/tcp\"")),
        ("-1", format!("this is not a port; {number} and its protocol, as in \"22/tcp\"")),
        (
            "2.2",
            "this must be a port, not a number; write it as in \"22/tcp\" or \"8000-8100/tcp\"".to_owned(),
        ),
    ] {
        refused_in_door(&format!("opens = [{entry}]"), &format!("10: opens: {expected}"));
        refused_in("filter", &format!("public = [{entry}]"), &format!("11: public: {expected}"));
        refused_in("filter", &format!("protected = [{entry}]"), &format!("14: protected: {expected}"));
    }
    refused_in_door("opens = \"22/tcp\"", "9: opens: this must be a list, not a string; write [\"22/tcp\"]");
    refused_in_door(
        "opens = [\"any\", \"22/tcp\"]",
        "10: opens: \"any\" holds the other ports already; write opens = [\"any\"]",
    );
    let entries: Vec<String> = (1..=65).map(|port| format!("\"{port}/tcp\"")).collect();
    refused_in_door(
        &format!("opens = [{}]", entries.join(",")),
        "577: opens: 65 entries are more than 64; join neighbouring ports to ranges such as \"8000-8100/tcp\"",
    );
}

#[test]
fn sequences_are_lists_of_one_to_thirty_two_ports() {
    let generate = "\"knock-ctl generate 22/tcp\" prints random ones";
    refused_in_door(
        "sequence = []",
        &format!("12: this sequence has no step; write 3 to 32 ports; {generate}"),
    );
    let line = format!("sequence = [{}]", ["9"; 33].join(","));
    refused_in_door(&line, "12: this sequence has 33 steps, more than 32; keep to 32");
    refused_in_door(
        "sequence = \"7000,8000\"",
        "12: sequence: this must be a list of ports, not a string; \
         write sequence = [31207, \"5481/udp\", 60122], with ports of your own",
    );
    let number = "write a number from 1 to 65535";
    for (step, expected) in [
        ("0", format!("there is no port 0; {number}")),
        ("70000", format!("ports end at 65535; {number}")),
        ("\"5-9/udp\"", "this is a range of ports where a single one belongs; write one port".to_owned()),
        (
            "\"5:sctp\"",
            "the protocol of a port is tcp or udp; write it as in \"22/tcp\" or \"53/udp\"".to_owned(),
        ),
        (
            "true",
            "this must be a port, not true or false; write a port, as in 31207 or \"5481/udp\"".to_owned(),
        ),
    ] {
        refused_in_door(&format!("sequence = [9, {step}]"), &format!("16: step 2: {expected}"));
    }
    refused(
        "[doors.ssh]\nsequence_file = \"x\"\nopens = [\"22/tcp\"]\nsequence = [9, 7, 5]\n",
        &["4:1: \"sequence\" and \"sequence_file\" are both given; keep one of the two"],
    );
    refused(
        "[doors.ssh]\nopens = [\"22/tcp\"]\n",
        &[
            "1:8: door \"ssh\" has no sequence; write sequence = [...]; \"knock-ctl generate 22/tcp\" prints random ports",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind_say_what_belongs_there() {
    let durations = "write \"500ms\", \"5s\", \"2m\", \"1h\", \"5d\" or a number of seconds";
    let command = "write a string for the shell, or a list such as [\"/usr/bin/logger\", \"%IP%\"]";
    let address = "write one as in \"192.0.2.7\" or \"2001:db8::7\", not a host name";
    let flags =
        "write any of fin, syn, rst, psh, ack, urg, each with a ! if it must be clear; or \"any\" alone";
    for (line, expected) in [
        ("same_ttl = 1", "12: same_ttl: this must be true or false, not a number; write true or false, without quotes".to_owned()),
        ("seq_timeout = \"10 apples\"", format!("15: seq_timeout: this is not a duration; {durations}")),
        ("seq_timeout = -5", format!("15: seq_timeout: this is not a duration; {durations}")),
        ("seq_timeout = nan", format!("15: seq_timeout: this is not a duration; {durations}")),
        ("seq_timeout = []", format!("15: seq_timeout: this must be a duration, not a list; {durations}")),
        ("seq_timeout = 0", "15: seq_timeout: this duration is out of range; write one from 1ms to 1d".to_owned()),
        ("seq_timeout = \"25h\"", "15: seq_timeout: this duration is out of range; write one from 1ms to 1d".to_owned()),
        ("open_for = 0", "12: open_for: this duration is out of range; write one from 1ms to 365d, or \"forever\"".to_owned()),
        ("open_for = \"for ever\"", format!("12: open_for: this is not a duration; {durations}, or \"forever\"")),
        ("cmd_timeout = 0", "15: cmd_timeout: this duration is out of range; write one from 1ms to 365d".to_owned()),
        ("command_time_limit = \"2d\"", "22: command_time_limit: this duration is out of range; write one from 1ms to 1d".to_owned()),
        ("connections = -1", "15: connections: this number is out of range; write a whole number from 0 to 4294967295".to_owned()),
        ("connections = \"1\"", "15: connections: this must be a whole number, not a string; write a whole number from 0 to 4294967295".to_owned()),
        ("tcpflags = \"sin\"", format!("12: tcpflags: \"sin\" is not a TCP flag; {flags}")),
        ("tcpflags = \"\"", format!("12: tcpflags: \"\" is not a TCP flag; {flags}")),
        ("tcpflags = \"syn,!syn\"", "12: tcpflags: a flag cannot be both set and clear; name each flag once".to_owned()),
        ("tcpflags = [\"syn\"]", "12: tcpflags: this must be a list of TCP flags in one string, not a list; write \"syn,!ack\" or \"any\"".to_owned()),
        ("target = [\"example.org\"]", format!("11: target: \"example.org\" is not an address; {address}")),
        ("target = [\"192.0.2.0/24\"]", "11: target: \"192.0.2.0/24\" is not an address; write a single address, without a prefix length".to_owned()),
        ("start_command = 5", format!("17: start_command: this must be a command, not a number; {command}")),
        ("start_command = [\"\"]", format!("18: start_command: this is not the name of a program; {command}")),
        ("start_command = [\"a\", 5]", "23: start_command: this must be a string, not a number; write each argument in quotes".to_owned()),
        ("stop_command_6 = \"a\\u0000\"", "18: stop_command_6: a command cannot hold a NUL character; take it out".to_owned()),
        ("run_as = \"a b\"", "10: run_as: \"a b\" cannot be a user's name; write one as in \"nobody\"".to_owned()),
    ] {
        refused_in_door(line, &expected);
    }
    for (line, expected) in [
        ("mode = \"xdp\"", "8: mode: \"xdp\" is not known here; write \"auto\" or \"native\" or \"generic\""),
        ("policy = \"deny\"", "10: policy: \"deny\" is not known here; write \"pass\" or \"drop\""),
        ("established = \"kill\"", "15: established: \"kill\" is not known here; write \"keep\" or \"cut\""),
        (
            "interfaces = [\"an-interface-of-16\"]",
            "15: interfaces: \"an-interface-of-16\" cannot be an interface's name; write \"eth0\", or \"default\" for that of the default route",
        ),
        (
            "trusted = [\"192.0.2.5/24\"]",
            "12: trusted: \"192.0.2.5/24\" has bits behind its prefix; write \"192.0.2.0/24\" for the network or \"192.0.2.5\" for the address",
        ),
        (
            "trusted = [\"192.0.2.0/33\"]",
            "12: trusted: \"192.0.2.0/33\" is not a prefix; write \"192.0.2.0/24\", \"2001:db8::/32\" or a single address",
        ),
        (
            "trusted = [\"::ffff:192.0.2.0/120\"]",
            "12: trusted: \"::ffff:192.0.2.0/120\" is an IPv4 prefix in IPv6 notation, which no packet carries; write the IPv4 prefix, as in \"192.0.2.0/24\"",
        ),
        (
            "trusted = [{ to = [\"22/tcp\"] }]",
            "12: trusted: this entry has no \"from\"; write { from = \"192.0.2.10\", to = [\"9100/tcp\"] }",
        ),
        (
            "trusted = [{ from = \"192.0.2.1\", to = [] }]",
            "39: trusted: \"to\" names no port; leave it out to trust this source with every port",
        ),
    ] {
        refused_in("filter", line, expected);
    }
    for key in ["attempts", "grants", "flows"] {
        let column = key.len() + 4;
        let expected =
            format!("{column}: {key}: this number is out of range; write a whole number from 1 to 67108864");
        refused_in("limits", &format!("{key} = 0"), &expected);
        refused_in("limits", &format!("{key} = 99999999999999999999999999999999999999999999"), &expected);
    }
    refused_in(
        "limits",
        "commands = 0",
        "12: commands: this number is out of range; write a whole number from 1 to 4096",
    );
    refused_in(
        "limits",
        "queued_commands = 0",
        "19: queued_commands: this number is out of range; write a whole number from 1 to 1048576",
    );
    refused_in(
        "timeouts",
        "tcp_closing = \"500ms\"",
        "15: tcp_closing: this duration is out of range; write one from 1s to 365d",
    );
    refused_in("timeouts", "udp = 0", "7: udp: this duration is out of range; write one from 1s to 365d");
    refused_in(
        "timeouts",
        "icmp = \"366d\"",
        "8: icmp: this duration is out of range; write one from 1s to 365d",
    );
    refused(
        "doors = 5\n",
        &["1:1: doors: this must be a section, not a number; write [doors] on a line of its own"],
    );
    refused(
        "[doors]\nssh = 5\n",
        &["2:1: ssh: this must be a section, not a number; write [doors.ssh] on a line of its own"],
    );
    refused(
        "[[filter]]\n",
        &["1:3: filter: this must be a section, not a list; write [filter] on a line of its own"],
    );
    refused(
        "include = \"a.toml\"\n",
        &[
            "1:11: include: this must be a list of paths, not a string; write include = [\"/etc/knock/doors.d/*.toml\"]",
        ],
    );
    refused(
        "include = [\"/**/a.toml\"]\n",
        &[
            "1:12: include: \"**\" is not taken: it would search whole trees; write a path such as \"/etc/knock/doors.d/*.toml\"",
        ],
    );
}

#[test]
fn metrics_need_an_address_with_a_port() {
    let write = "write listen = \"127.0.0.1:9762\"";
    refused("[metrics]\n", &[&format!("1:2: [metrics] does not say where to listen; {write}")]);
    refused_in(
        "metrics",
        "listen = \"127.0.0.1:0\"",
        &format!("10: listen: port 0 is no port that could be asked; {write}"),
    );
    for wrong in ["127.0.0.1", "localhost:9762", ":9762", "127.0.0.1:65536", "::1:9762"] {
        refused_in(
            "metrics",
            &format!("listen = \"{wrong}\""),
            &format!(
                "10: listen: \"{wrong}\" is not an address with a port; write one as in \"127.0.0.1:9762\" or \"[::1]:9762\", \
                 not a host name"
            ),
        );
    }
}

#[test]
fn a_log_file_is_named_by_its_whole_path() {
    for wrong in ["knock.log", "", "/var/log/", "/var/log/knock\\nlog"] {
        refused_in(
            "log",
            &format!("file = \"{wrong}\""),
            &format!(
                "8: file: \"{wrong}\" is not the whole path of a file; write one as in \"/var/log/knock.log\""
            ),
        );
    }
    refused_in(
        "log",
        "file = true",
        "8: file: this must be a path in quotes, not true or false; write \"/var/log/knock.log\"",
    );
}

#[test]
fn syntax_errors_come_with_their_line_and_without_its_text() {
    let cure = "put strings in quotes and close what is opened, as in opens = [\"22/tcp\"]";
    let text = "[doors.ssh]\nsequence = [41207, 5481\nopens = [22/tcp]\n\n[doors.b\nopen_for = 30s\n";
    let errors = errors_of(text);
    assert!(
        errors.lines().all(|line| line.contains(": this is not TOML: ") && line.ends_with(cure)),
        "{errors}"
    );
    assert!(!errors.contains("41207") && !errors.contains("5481"), "{errors}");
    let text = "[doors.a]\nopens = [22/tcp]\n[doors.b]\nopen_for = 30s\n";
    let quoted = "this is not TOML: string values must be quoted, expected literal string";
    refused(text, &[&format!("2:10: {quoted}; {cure}"), &format!("4:12: {quoted}; {cure}")]);
}

#[test]
fn a_door_or_key_that_is_there_twice_does_not_hide_other_errors() {
    let text = "[doors.ssh]\nsequence = [9, 7, 5]\nopens = [22]\nopens = []\n[doors.ssh]\nsequence = [8, 7, 5]\n[log]\nx = 1\n";
    refused(
        text,
        &[
            "3:10: opens: this port names no protocol; write \"22/tcp\"",
            "4:1: \"opens\" is here twice; keep one of the two, or rename one",
            "5:8: \"ssh\" is here twice; keep one of the two, or rename one",
            "6:1: \"sequence\" is here twice; keep one of the two, or rename one",
            "8:1: unknown key \"x\" in [log]; known here: stages, drops, syslog, file",
        ],
    );
}

#[test]
fn approval_that_could_not_be_meant() {
    for nothing in ["\"\"", "[]", "\" \""] {
        refused_in_door(
            &format!("approve_command = {nothing}"),
            "19: approve_command: this is no command, so that it can approve nobody; name one, or leave the key out",
        );
    }
}

#[test]
fn a_closing_door_is_not_approved() {
    refused(
        "[doors.ssh]\nsequence = [41207, 5481, 60122]\nopens = [\"22/tcp\"]\n\
         [doors.close]\nsequence = [41208, 5481, 60122]\nrevokes = [\"ssh\"]\napprove_command = \"true\"\n",
        &[
            "4:8: door \"close\" has both approve_command and revokes, and would revoke before it is approved; \
           make two doors of it, or leave one of them out",
        ],
    );
}
