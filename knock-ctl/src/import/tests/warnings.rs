use super::*;

const DOOR: &str = "sequence = 5001,5003,5002\ncommand = a\n";

#[track_caller]
fn warned(text: &str, messages: &[&str]) {
    let found: Vec<_> =
        warnings_of(text).iter().map(|line| line.strip_prefix("knockd.conf:").unwrap().to_owned()).collect();
    assert_eq!(found, messages, "{text}");
}

#[test]
fn a_plain_file_is_not_warned_of() {
    warned(&format!("[a]\n{DOOR}"), &[]);
}

#[test]
fn a_file_without_doors_is_one_all_the_same() {
    for text in ["", "# nothing\n", "[options]\nInterface = wan0\n"] {
        let help = "name a knockd.conf with doors, as in [openSSH]";
        assert_eq!(warnings_of(text), [format!("knockd.conf: no door is in this file; {help}")]);
        assert_eq!(meant(text).doors, []);
    }
}

#[test]
fn names_that_no_door_of_ours_can_have() {
    let text = format!(
        "[my door]\n{DOOR}[a.b]\nsequence = 1\n[a.b]\nsequence = 2\n[é]\nsequence = 3\n[ ]\nsequence = 4\n[my-door]\nsequence = 6\n"
    );
    let names: Vec<_> = meant(&text).doors.iter().map(|door| door.name.to_string()).collect();
    assert_eq!(names, ["my-door-2", "a.b", "a.b-2", "-", "door", "my-door"]);
    let rule = "a door's name is 1 to 64 of the characters A-Z a-z 0-9 _ . -";
    warned(
        &text,
        &[
            &format!(
                "1:1: \"my door\" cannot be a door's name: {rule}; it is called \"my-door-2\" from here on"
            ),
            "6:1: a second door is called \"a.b\"; it is called \"a.b-2\" from here on",
            &format!("8:1: \"é\" cannot be a door's name: {rule}; it is called \"-\" from here on"),
            &format!("10:1: \" \" cannot be a door's name: {rule}; it is called \"door\" from here on"),
        ],
    );
    let long = "x".repeat(100);
    let text = format!("[{long}]\n{DOOR}[{long}]\nsequence = 1\n");
    let names: Vec<_> = meant(&text).doors.iter().map(|door| door.name.to_string()).collect();
    assert_eq!(names, [long[..64].to_owned(), format!("{}-2", &long[..62])]);
}

#[test]
fn what_knockd_reads_otherwise_than_it_looks() {
    warned(
        "[a]\nsequence = 1\nsequence = 5001 # first,5003:udp:x,5002\nseq_timeout = 5s\ntimeout = 6\ncommand = a\ncommand = b\n\
         start_command = c\n",
        &[
            "3:1: step 1 of the sequence: knockd ignores what stands behind the port; take it out; a comment has a line of its own",
            "3:1: step 2 of the sequence: knockd ignores what stands behind the port; take it out; a comment has a line of its own",
            "3:1: sequence is given again, and knockd takes this, not that of line 2; keep one of the two",
            "4:1: seq_timeout: knockd reads 5 seconds, and ignores what stands behind; take it out; a comment has a line of its own",
            "5:1: seq_timeout is given again, and knockd takes this, not that of line 4; keep one of the two",
            "7:1: start_command is given again, and knockd takes this, not that of line 6; keep one of the two",
            "8:1: start_command is given again, and knockd takes this, not that of line 7; keep one of the two",
        ],
    );
    warned(
        &format!("[options]\ninterface =\ninterface = a\ninterface = b\n[a]\n{DOOR}"),
        &["4:1: interface is given in line 3 already, and knockd takes that; keep one of the two"],
    );
}

#[test]
fn what_we_have_not() {
    warned(
        &format!("[a]\n{DOOR}seq_timeout = 86401\n[b]\nsequence = 1\nstop_command = x\n"),
        &[
            "4:1: seq_timeout: 1d is the longest that knock-ctl has, and taken; write 86400 or less",
            "7:1: knockd never runs this stop command of door \"b\", so it is left out; give the door a start command",
        ],
    );
}

#[test]
fn flags_that_the_stock_client_does_not_send() {
    for (lines, is_warned) in [
        ("sequence = 1\n", false),
        ("sequence = 1\ntcpflags = syn\n", false),
        ("sequence = 1\ntcpflags = syn,!ack\n", false),
        ("sequence = 1\ntcpflags = !ack\n", false),
        ("sequence = 1\ntcpflags = fin\n", true),
        ("sequence = 1:udp,2\ntcpflags = !syn\n", true),
        ("sequence = 1:udp\ntcpflags = syn,ack\n", false),
    ] {
        let warnings = warnings_of(&format!("[a]\ncommand = a\n{lines}"));
        assert_eq!(warnings.iter().any(|line| line.contains("SYN alone")), is_warned, "{lines}");
    }
}
