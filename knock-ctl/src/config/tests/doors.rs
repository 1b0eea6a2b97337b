use std::time::Duration;

use knock_common::port::Port;

use super::super::{CommandLine, OpenFor, Opens};
use super::errors::refused;
use super::{accepted, errors_of};

#[test]
fn doors_are_checked_against_each_other_and_the_public_ports() {
    let text = r#"
[filter]
public = ["80-90/tcp", "53/udp"]
[doors.ssh]
sequence = [41207, 85, "53:udp", "80/udp"]
opens = ["22/tcp", "70-80/tcp", "80/udp"]
revokes = ["shs"]
[doors.twin]
sequence = ["41207/tcp", 85, "53/udp", "80:udp"]
start_command = "x"
[doors.longer]
sequence = [41207, 85, "53/udp", "80/udp", 1]
opens = ["any"]
[doors.shorter]
sequence = ["41207"]
opens = ["any"]
revokes = ["elsewhere"]
[doors.idle]
sequence = [5, 4, 3]
[doors."two words"]
sequence = [6, 4, 3]
opens = ["1/tcp"]
"#;
    let apart = "or targets or tcpflags that no packet meets both of";
    let other = "knock on another port, or take it out of \"public\"";
    refused(
        text,
        &[
            &format!(
                "5:12: door \"ssh\" could never open: its sequence begins with all of door \"shorter\"; give it a sequence that begins otherwise, {apart}"
            ),
            &format!("5:20: step 2 of door \"ssh\" is a public port, where no knock is seen; {other}"),
            &format!("5:24: step 3 of door \"ssh\" is a public port, where no knock is seen; {other}"),
            "6:20: door \"ssh\" opens 70-80/tcp, but 80-90/tcp is public: open to everyone; take it out of this door, or out of \"public\"",
            "7:12: door \"ssh\" revokes \"shs\", which is no door; did you mean \"ssh\"?",
            &format!(
                "9:12: doors \"ssh\" and \"twin\" have the same sequence; give \"twin\" a sequence of its own, {apart}"
            ),
            &format!("9:26: step 2 of door \"twin\" is a public port, where no knock is seen; {other}"),
            &format!("9:30: step 3 of door \"twin\" is a public port, where no knock is seen; {other}"),
            &format!(
                "12:12: door \"longer\" could never open: its sequence begins with all of door \"ssh\"; give it a sequence that begins otherwise, {apart}"
            ),
            &format!("12:20: step 2 of door \"longer\" is a public port, where no knock is seen; {other}"),
            &format!("12:24: step 3 of door \"longer\" is a public port, where no knock is seen; {other}"),
            "17:12: door \"shorter\" revokes \"elsewhere\", which is no door; the doors are idle, longer, shorter, ssh, twin, two words",
            "18:8: door \"idle\" does nothing; give it opens = [\"22/tcp\"], revokes or a start_command",
            "20:8: \"two words\" cannot be a door's name: a door's name is 1 to 64 of the characters A-Z a-z 0-9 _ . -; rename it, as in [doors.ssh]",
        ],
    );
}

#[test]
fn a_key_of_the_defaults_is_checked_once_and_even_if_no_door_uses_it() {
    let text = r#"
[door_defaults]
open_for = "soon"
opens = [22]
colour = "red"
start_command = "x"
command = "y"
[doors.a]
sequence = [5, 4, 3]
open_for = "1s"
[doors.b]
sequence = [6, 4, 3]
"#;
    let durations = "write \"500ms\", \"5s\", \"2m\", \"1h\", \"5d\" or a number of seconds, or \"forever\"";
    refused(
        text,
        &[
            &format!("3:12: open_for: this is not a duration; {durations}"),
            "4:10: opens: this port names no protocol; write \"22/tcp\"",
            "5:1: unknown key \"colour\" in [door_defaults]; known here: sequence, sequence_file, seq_timeout, same_ttl, tcpflags, target, \
             opens, open_for, connections, revokes, approve_command, start_command, command, stop_command, start_command_6, \
             stop_command_6, cmd_timeout, run_as, command_time_limit",
            "7:1: \"start_command\" and \"command\" are both given; keep one of the two",
        ],
    );
}

#[test]
fn one_sequence_serves_doors_that_no_packet_knocks_on_together() {
    let pair = |first: &str, second: &str, steps: [&str; 2]| {
        format!(
            "[doors.a]\nsequence = [{}]\nopens = [\"22/tcp\"]\n{first}\n[doors.b]\nsequence = [{}]\nopens = [\"23/tcp\"]\n{second}\n",
            steps[0], steps[1]
        )
    };
    let (syn, ack) = ("tcpflags = \"syn,!ack\"", "tcpflags = \"ack\"");
    let (here, there) = ("target = [\"192.0.2.1\"]", "target = [\"192.0.2.2\", \"2001:db8::1\"]");
    let same = ["7, 5, 3", "7, 5, 3"];
    let prefix = ["7, \"5/udp\", 3", "7, \"5/udp\""];
    let beyond = ["\"7/udp\", \"5/udp\", 3", "\"7/udp\", \"5/udp\""];
    for (text, is_accepted) in [
        (pair(syn, ack, same), true),
        (pair(syn, ack, prefix), true),
        (pair(here, there, same), true),
        (pair(here, there, prefix), true),
        (pair("", "", same), false),
        (pair("", "", prefix), false),
        (pair(here, "", same), false),
        (pair(here, here, prefix), false),
        (pair("tcpflags = \"any\"", syn, same), false),
        (pair(syn, ack, beyond), false),
    ] {
        if is_accepted {
            assert_eq!(accepted(&text).config.doors.len(), 2);
        } else {
            assert_eq!(errors_of(&text).lines().count(), 1, "{text}");
        }
    }
}

#[test]
fn a_door_takes_from_the_defaults_what_it_does_not_say() {
    let text = r#"
[door_defaults]
opens = ["22/tcp"]
open_for = "1h"
command = "default"
[doors.a]
sequence = [5, 4, 2]
[doors.b]
sequence = [6, 4, 2]
opens = []
start_command = "own"
open_for = "forever"
"#;
    let doors = accepted(text).config.doors;
    let [a, b] = doors.as_slice() else { panic!("two doors") };
    assert_eq!(
        (&a.opens, a.open_for),
        (&Opens::Ports(vec![Port::tcp(22).unwrap().into()]), OpenFor::For(Duration::from_secs(3600)))
    );
    assert_eq!(a.commands.start.v4, Some(CommandLine::Shell("default".to_owned())));
    assert_eq!((&b.opens, b.open_for), (&Opens::Ports(vec![]), OpenFor::Forever));
    assert_eq!(b.commands.start.v4, Some(CommandLine::Shell("own".to_owned())));
}

#[test]
fn doors_keep_the_order_of_the_file() {
    let text = r#"
[doors.zebra]
sequence = [5, 4, 2]
opens = ["1/tcp"]
[doors]
apple = { sequence = [6, 4, 2], opens = ["2/tcp"] }
"#;
    // TOML lets a table be defined by its children first.
    let names: Vec<_> = accepted(text).config.doors.into_iter().map(|door| door.name.to_string()).collect();
    assert_eq!(names, ["zebra", "apple"]);
}
