use std::path::Path;

use super::super::parse;
use super::*;

/// What is said of each door of a configuration.
fn strengths(filter: &str, sequences: &[&str]) -> Vec<String> {
    let doors: String = (1..)
        .zip(sequences)
        .map(|(number, steps)| format!("[doors.d{number}]\nsequence = [{steps}]\nopens = [\"22/tcp\"]\n"))
        .collect();
    let loaded = parse(&format!("[filter]\n{filter}\n{doors}"), "knock.toml", Path::new("")).unwrap();
    let guessing = Guessing::under(&loaded.config);
    loaded
        .config
        .doors
        .iter()
        .map(|door| guessing.strength(door.sequence.next().unwrap()).to_string())
        .collect()
}

fn strength(steps: &str) -> String {
    strengths("", &[steps]).remove(0)
}

#[test]
fn a_sequence_is_as_strong_as_the_likeliest_set_it_is_in() {
    const RANDOM: &str = "if its ports were chosen at random";
    let cases = [
        ("4000", 16, RANDOM, "less than 2 seconds"),
        ("41207, 5481", 32, RANDOM, "36 minutes"),
        ("41207, \"5481/udp\"", 34, RANDOM, "2.4 hours"),
        ("41207, 5481, 60122", 48, RANDOM, "4.5 years"),
        ("\"41207/udp\", \"5481/udp\", \"60122/udp\"", 48, RANDOM, "4.5 years"),
        ("41207, \"5481/udp\", 60122", 51, RANDOM, "36 years"),
        ("41207, \"5481/udp\", 60122, 800", 68, RANDOM, "4.7 million years"),
        ("41207, \"5481/udp\", 60122, 800, 99, 98", 102, RANDOM, "more than a trillion years"),
        ("5481, 41207, 60122", 45, "since its ports ascend", "270 days"),
        ("4000, 4100, 4200", 32, "since its ports are evenly spaced", "36 minutes"),
        ("4000, 3990, 3980", 32, "since its ports are evenly spaced", "36 minutes"),
        ("4000, 4001, 4002", 16, "since its ports are neighbours", "less than 2 seconds"),
        ("4000, 4000, 4000, 4000", 16, "since all its ports are one", "less than 2 seconds"),
    ];
    for (steps, bits, reason, time) in cases {
        let expected = format!("{bits} bits, {reason}; {BLIND} needs {time} on average.");
        assert_eq!(strength(steps), expected, "{steps}");
    }
    let expected = "none, since the sequence is published: a blind attacker tries it first.";
    for steps in ["7000, 8000, 9000", "\"9000/udp\", 8000, 7000"] {
        assert_eq!(strength(steps), expected);
    }
}

#[test]
fn without_strictness_a_scan_takes_hits_on_knock_ports_alone() {
    let sequences = ["41207, 5481, 60122", "7, 5, 6"];
    let [first, _] = strengths("strict = false", &sequences).try_into().unwrap();
    // 65,535 packets a scan, and 6 * 6 / 2 of them.
    let expected = format!(
        "48 bits, if its ports were chosen at random; {BLIND} needs less than 2 seconds on average, with strict = false."
    );
    assert_eq!(first, expected);
    assert_eq!(strengths("strict = true", &sequences)[0], strength(sequences[0]));
}

#[test]
fn one_of_many_doors_is_found_sooner() {
    let of = |packets| Strength {
        shape: Some(Shape::Plain),
        sequences: 2.0 * packets,
        packets,
        not_strict: false,
    };
    let any = |doors: &[f64]| Strength::packets_for_any(&doors.iter().copied().map(of).collect::<Vec<_>>());
    assert_eq!(any(&[50.0]), 50.0);
    assert_eq!(any(&[50.0, 50.0, 50.0]), 25.0);
    assert!((any(&[50.0, 5e9]) - 50.0).abs() < 1e-3);
}

#[test]
fn times_are_told_in_two_digits() {
    let cases = [
        (1.99, "less than 2 seconds"),
        (2.0, "2.0 seconds"),
        (9.94, "9.9 seconds"),
        (9.96, "10 seconds"),
        (119.0, "120 seconds"),
        (7_199.0, "120 minutes"),
        (86_400.0 * 3.0, "3.0 days"),
        (86_400.0 * 365.25 * 36.2, "36 years"),
        (86_400.0 * 365.25 * 12_345.0, "12,000 years"),
        (86_400.0 * 365.25 * 2.4e10, "24 billion years"),
        (86_400.0 * 365.25 * 1e12, "more than a trillion years"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(needed(seconds * PACKETS_A_SECOND), expected, "{seconds}");
    }
    assert_eq!(needed(f64::MAX), "more than a trillion years");
}

#[test]
fn the_longest_sequence_has_a_strength() {
    let steps: Vec<String> = (0..32).map(|step| (65_000 - step * step * 7).to_string()).collect();
    let expected = format!(
        "512 bits, if its ports were chosen at random; {BLIND} needs more than a trillion years on average."
    );
    assert_eq!(strength(&steps.join(", ")), expected);
}
