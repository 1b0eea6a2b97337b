use knock_common::port::Port;

use super::super::warn_listeners;
use super::{accepted, warnings_of};

const GENERATE: &str = "take a random one: \"knock-ctl generate 22/tcp\" prints one";

fn of_sequence(steps: &str) -> Vec<String> {
    let warnings = warnings_of(&format!("[doors.a]\nsequence = [{steps}]\nopens = [\"22/tcp\"]\n"));
    let strip = |warning: String| {
        let warning = warning.strip_prefix("knock.toml:2:12: door \"a\": ").expect(&warning).to_owned();
        warning.strip_suffix(&format!("; {GENERATE}")).expect(&warning).to_owned()
    };
    warnings.into_iter().map(strip).collect()
}

#[test]
fn weak_sequences_are_warned_of() {
    const SHORT: &str = "a sequence of fewer than three steps can be opened by a scan";
    const PUBLISHED: &str = "this sequence is published, and scanners try it";
    const CONSECUTIVE: &str = "a sequence of consecutive ports is opened by a scan in that order";
    const EVEN: &str = "a sequence of evenly spaced ports is among the first to be guessed";
    const REPEATED: &str = "one port again and again is among the first to be guessed";
    const ASCENDING: &str = "a sequence of ascending ports is among the first to be guessed";
    let cases: &[(&str, &[&str])] = &[
        ("41207, \"5481/udp\", 60122", &[]),
        ("60122, 41207, 5481", &[]),
        ("7000, 8000, 9000", &[ASCENDING, PUBLISHED]),
        ("7000, \"8000/udp\", 9000", &[ASCENDING, PUBLISHED]),
        ("9000, 8000, 7000", &[EVEN, PUBLISHED]),
        ("9100, \"8100/udp\", 7100", &[EVEN]),
        ("\"2222/udp\", 3333, \"4444/udp\"", &[ASCENDING, PUBLISHED]),
        ("\"12345/udp\", \"23456/udp\", \"34567/udp\"", &[ASCENDING, PUBLISHED]),
        ("31207, \"5481/udp\", 60122", &[PUBLISHED]),
        ("4000, 4100, 4099", &[]),
        ("4000, 4100, 4101", &[ASCENDING]),
        ("4000, 4001, 4002", &[CONSECUTIVE]),
        ("4002, 4001, 4000", &[CONSECUTIVE]),
        ("4000, 4000, 4000", &[REPEATED]),
        ("4000", &[SHORT]),
        ("4000, 3000", &[SHORT]),
        ("4000, 4001", &[CONSECUTIVE, SHORT]),
    ];
    for (steps, expected) in cases {
        assert_eq!(of_sequence(steps), *expected, "{steps}");
    }
}

#[test]
fn settings_that_undo_the_filter_are_warned_of() {
    let text = r#"
[filter]
strict = false
public = ["80-90/tcp"]
protected = ["80/tcp", "80/udp", "80-91/tcp"]
trusted = ["0.0.0.0/0", { from = "::/0", to = ["22/tcp"] }]
[doors.a]
sequence = [41207, 5481, 60122]
opens = ["22/tcp"]
revokes = ["a"]
"#;
    let expected = [
        "knock.toml:3:1: with strict = false a scan of all ports can open a door, since most ports do not reset an attempt; leave it out",
        "knock.toml:5:14: 80/tcp is public too, so it is not protected; take it out of one of the two",
        "knock.toml:6:12: 0.0.0.0/0 trusts everyone: no door is ever closed to them; name the networks that need not knock",
        "knock.toml:10:12: door \"a\" revokes itself; leave it out, or write the revocation into a door of its own",
    ];
    assert_eq!(warnings_of(text), expected);
}

#[test]
fn a_file_without_effect_is_warned_of() {
    let expected = "knock.toml: nothing is closed: there is no door and no protected port; \
                    add a door: [doors.NAME] with a sequence and opens";
    assert_eq!(warnings_of(""), [expected]);
    assert_eq!(warnings_of("[filter]\nprotected = [\"22/tcp\"]\n"), [""; 0]);
    assert_eq!(warnings_of("[scanners]\n"), [""; 0]);
}

#[test]
fn metrics_for_everyone_are_warned_of() {
    let with = |listen: &str| warnings_of(&format!("[scanners]\n[metrics]\nlisten = \"{listen}\"\n"));
    for loopback in ["127.0.0.1:9762", "127.9.9.9:1", "[::1]:65535"] {
        assert_eq!(with(loopback), [""; 0]);
    }
    for reachable in ["0.0.0.0:9762", "[::]:9762", "192.0.2.1:9762"] {
        let expected = format!(
            "knock.toml:3:10: metrics are shown to everyone who reaches {reachable}, without a password; \
             write a loopback address, or let this port be open to your monitoring alone"
        );
        assert_eq!(with(reachable), [expected]);
    }
}

#[test]
fn an_include_from_nowhere_is_warned_of() {
    let text = "include = [\"doors.d/*.toml\", \"doors.*/*.toml\"]\n[filter]\nprotected = [\"22/tcp\"]\n";
    let expected = "knock.toml:1:12: include: there is no directory /nonexistent/doors.d; \
                    create it, or correct the path";
    assert_eq!(warnings_of(text), [expected]);
}

#[test]
fn steps_with_a_listener_are_found_and_not_named() {
    let text = r#"
[doors.a]
sequence = [41207, "5481/udp", 60122]
opens = ["22/tcp"]
[doors.b]
sequence = [1, 2, "41207/udp"]
opens = ["22/tcp"]
"#;
    let listening = [Port::udp(5481), Port::tcp(5481), Port::tcp(41207), Port::tcp(22)].map(Option::unwrap);
    let warnings: Vec<String> = warn_listeners(&accepted(text), &|port| listening.contains(&port))
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [
        "knock.toml:3:12: step 1 of door \"a\" is a port with a listener; knock on a port that nothing here listens on",
        "knock.toml:3:12: step 2 of door \"a\" is a port with a listener; knock on a port that nothing here listens on",
    ];
    assert_eq!(warnings, expected);
}
