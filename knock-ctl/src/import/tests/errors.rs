use super::*;

/// Each text with all its messages, the file's name left out.
#[track_caller]
fn refused(text: &str, messages: &[&str]) {
    let errors = errors_of(text);
    let found: Vec<_> = errors.lines().map(|line| line.strip_prefix("knockd.conf:").unwrap()).collect();
    assert_eq!(found, messages, "{text}");
}

#[test]
fn lines_that_mean_nothing() {
    refused(
        "sequence = 1\n[]\n[a]\nsequence = 5\ncommand\n\0\n",
        &[
            "1:1: this line is in no section; write [options] or the name of a door above it, as in [openSSH]",
            "2:1: this section has no name; write one, as in [openSSH]",
            "5:1: no \"=\" behind \"command\"; write command = and what it is to be",
            "6:1: this line holds a NUL character; take it out",
        ],
    );
    let long = format!("[a]\nsequence = 5\ncommand = {}\n", "x".repeat(4086));
    refused(
        &long,
        &[
            "3:1: this line is longer than knockd reads, 4095 bytes; shorten it; move a long command into a script",
        ],
    );
    assert_eq!(meant(&long.replacen('x', "", 1)).doors.len(), 1);
    let error = import(b"[a]\ncommand = \xe9\nsequence = 5\n", "knockd.conf").err().unwrap().to_string();
    assert_eq!(error, "knockd.conf:2:1: this line is not UTF-8; save the file in UTF-8");
}

#[test]
fn unknown_keys_refuse_the_file_and_name_the_nearest() {
    refused(
        "[options]\n logfiel = x\n usesyslog = yes\n sequence = 5\n PORT = 7\n nothing\n\
         [a]\nsequence = 5\nstartcommand = x\ncomand = y\npidfile = z\ncolour = red\nUse_Syslog\n",
        &[
            "2:2: unknown key \"logfiel\" in [options]; did you mean \"logfile\"?",
            "3:2: \"usesyslog\" takes no value; write UseSyslog alone",
            "4:2: unknown key \"sequence\" in [options]; it belongs to a door, in a section of its own such as [openSSH]",
            "5:2: unknown key \"PORT\" in [options]; known here: logfile, pidfile, interface, usesyslog",
            "6:2: unknown key \"nothing\" in [options]; known here: logfile, pidfile, interface, usesyslog",
            "9:1: unknown key \"startcommand\" in [a]; did you mean \"start_command\"?",
            "10:1: unknown key \"comand\" in [a]; did you mean \"command\"?",
            "11:1: unknown key \"pidfile\" in [a]; it belongs to [options]",
            "12:1: unknown key \"colour\" in [a]; known here: sequence, one_time_sequences, seq_timeout, timeout, tcpflags, target, \
             start_command, command, stop_command, cmd_timeout, start_command_6, command_6, stop_command_6, usesyslog",
            "13:1: unknown key \"Use_Syslog\" in [a]; did you mean \"usesyslog\"?",
        ],
    );
}

#[test]
fn no_message_tells_a_sequence() {
    let key = "write sequence = and its ports, as in 31207,5481:udp,60122";
    refused(
        "[a]\nSequence 7001,8002\n[b]\n7001,8002\n[c]\nsequences: 7001\n",
        &[
            "2:1: no \"=\" behind \"Sequence\"; write Sequence = and what it is to be",
            &format!("3:1: door \"b\" has no sequence; {key}"),
            "4:1: a line in [b] names no key; known here: sequence, one_time_sequences, seq_timeout, timeout, tcpflags, target, \
             start_command, command, stop_command, cmd_timeout, start_command_6, command_6, stop_command_6, usesyslog",
            "6:1: unknown key \"sequences\" in [c]; did you mean \"sequence\"?",
        ],
    );
}

#[test]
fn names_of_sections_are_case_sensitive() {
    refused(
        "[Options]\nlogfile = /var/log/knockd.log\n[a]\nsequence = 5\n",
        &[
            "1:1: door \"Options\" has no sequence; write sequence = and its ports, as in 31207,5481:udp,60122",
            "2:1: unknown key \"logfile\" in [Options]; write [options]: names of sections are case-sensitive, so [Options] is a door",
        ],
    );
}

#[test]
fn sequences() {
    let number = "write a number from 1 to 65535, or one with its protocol, as in 8000:udp";
    let protocol = "the protocol of a port is tcp or udp; write it as in 8000:tcp or 8000:udp";
    refused(
        "[a]\nsequence = ssh,0,65536,-1,7:sctp,8:,\n",
        &[
            &format!("2:1: step 1 of the sequence: this is not a port; {number}"),
            &format!("2:1: step 2 of the sequence: no port has this number; {number}"),
            &format!("2:1: step 3 of the sequence: no port has this number; {number}"),
            &format!("2:1: step 4 of the sequence: no port has this number; {number}"),
            &format!("2:1: step 5 of the sequence: {protocol}"),
            &format!("2:1: step 6 of the sequence: {protocol}"),
            &format!("2:1: step 7 of the sequence: this is not a port; {number}"),
        ],
    );
    refused("[a]\nsequence =\n", &[&format!("2:1: step 1 of the sequence: this is not a port; {number}")]);
    let many = ["5"; 33].join(",");
    refused(
        &format!("[a]\nsequence = {many}\n"),
        &["2:1: this sequence has 33 steps, more than 32; keep to 32"],
    );
    refused(
        "[a]\ncommand = x\n[b]\nsequence = 7\none_time_sequences = /etc/x\n",
        &[
            "1:1: door \"a\" has no sequence; write sequence = and its ports, as in 31207,5481:udp,60122",
            "3:1: door \"b\" has a sequence (line 4) and one-time sequences (line 5); keep one of the two",
        ],
    );
}

#[test]
fn values() {
    let flags = "write any of fin, syn, rst, psh, ack, urg, each with a ! if it must be clear, and no spaces";
    refused(
        "[options]\ninterface = two words\n[a]\nsequence = 5\nseq_timeout = soon\ntimeout = 0\ncmd_timeout = -1\n\
         target = example.org\ntcpflags = syn, ack\ntcpflags =\ntcpflags = any\ntcpflags = !!syn\n",
        &[
            "2:1: \"two words\" is not the name of an interface: that is 1 to 15 bytes without '/', ':' or white space; \
             write one as in interface = eth0",
            "5:1: seq_timeout: this is not a number; write a whole number of seconds, 1 or more",
            "6:1: timeout: with this number the door never opens or never closes; write a whole number of seconds, 1 or more",
            "7:1: cmd_timeout: with this number the door never opens or never closes; write a whole number of seconds, 0 or more",
            "8:1: target: \"example.org\" is not an address; write one as in 192.0.2.7 or 2001:db8::7",
            &format!("9:1: \" ack\" is not a TCP flag; {flags}"),
            &format!("10:1: \"\" is not a TCP flag; {flags}"),
            &format!("11:1: \"any\" is not a TCP flag; {flags}"),
            &format!("12:1: \"!!syn\" is not a TCP flag; {flags}"),
        ],
    );
}

#[test]
fn doors_that_collide_are_named_with_their_lines() {
    let pair = |first: &str, second: &str| {
        format!("[a]\nsequence = {first}\ncommand = x\n[b]\nsequence = {second}\ncommand = y\n")
    };
    refused(
        &pair("7,5:udp,3", "7,5:UDP,3:tcp"),
        &[
            "5:1: doors \"a\" (line 2) and \"b\" (line 5) have the same sequence; give one of them another, or make them one door \
           that runs both commands",
        ],
    );
    for (text, longer, shorter) in [
        (pair("7,5", "7,5,3"), "\"b\" (line 5)", "\"a\" (line 2)"),
        (pair("7,5,3", "7"), "\"a\" (line 2)", "\"b\" (line 5)"),
    ] {
        let message = format!(
            "5:1: door {longer} could never open here: its sequence begins with all of that of door {shorter}; give one of them \
             a sequence that begins otherwise"
        );
        refused(&text, &[&message]);
    }
    // No packet is a knock for both.
    for (first, second) in
        [("tcpflags = syn,!ack", "tcpflags = ack"), ("target = 192.0.2.1", "target = 192.0.2.2")]
    {
        let text = pair(&format!("7,5,3\n{first}"), &format!("7,5,3\n{second}"));
        assert_eq!(meant(&text).doors.len(), 2);
    }
}

#[test]
fn what_only_our_configuration_refuses_is_told_with_knockds_line() {
    // White space to us, a program's name to a shell.
    let error = errors_of("[a]\nsequence = 5,9,7\ncommand = \u{a0}\n");
    assert_eq!(
        error,
        "knockd.conf:1:1: door \"a\" does nothing; give it opens = [\"22/tcp\"], revokes or a start_command"
    );
}
