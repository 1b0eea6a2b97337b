//! What is there for a whole machine behind the filter.

use super::errors::{refused, refused_in};
use super::warnings_of;

#[test]
fn protocols_with_ports_or_always_let_in_need_no_entry() {
    let ports = "leave it out, and name ports in \"public\" or in the \"opens\" of a door";
    let passes = "leave it out; ping = false drops echo requests";
    let all = "igmp, ipip, dccp, ipv6, rsvp, gre, esp, ah, eigrp, ospf, etherip, pim, ipcomp, vrrp, l2tp, sctp, udplite, \
               mpls-in-ip";
    let anyway = "passes anyway, and needs no entry here";
    for (entry, expected) in [
        ("\"tcp\"", format!("tcp is judged by its ports, and needs no entry here; {ports}")),
        ("17", format!("udp is judged by its ports, and needs no entry here; {ports}")),
        ("\"ICMP\"", format!("icmp {anyway}; {passes}")),
        ("\"ipv6-icmp\"", format!("icmpv6 {anyway}; {passes}")),
        ("\"58\"", format!("icmpv6 {anyway}; {passes}")),
        ("\"espp\"", "\"espp\" is no IP protocol that is known here; did you mean \"esp\"? Any protocol can be written as its number".to_owned()),
        ("\"chaos-net\"", format!("\"chaos-net\" is no IP protocol that is known here; write its number, or one of {all}")),
        ("256", "IP protocols are numbered from 0 to 255; write one of these numbers, or a name".to_owned()),
        ("-1", "IP protocols are numbered from 0 to 255; write one of these numbers, or a name".to_owned()),
        ("true", "this must be an IP protocol, not true or false; write its name or number, as in \"esp\" or 50".to_owned()),
    ] {
        refused_in("filter", &format!("protocols = [{entry}]"), &format!("14: protocols: {expected}"));
    }
}

#[test]
fn destinations_are_single_addresses() {
    let local = ", or \"local\" for this machine's own addresses";
    for (entry, expected) in [
        (
            "\"192.0.2.0/24\"",
            "\"192.0.2.0/24\" is not an address; write a single address, without a prefix length",
        ),
        (
            "\"Local\"",
            "\"Local\" is not an address; write one as in \"192.0.2.7\" or \"2001:db8::7\", not a host name",
        ),
        ("5", "this must be an address in quotes, not a number; write \"192.0.2.7\" or \"2001:db8::7\""),
    ] {
        let line = format!("destinations = [{entry}]");
        refused_in("filter", &line, &format!("17: destinations: {expected}{local}"));
    }
    refused_in(
        "filter",
        "destinations = \"local\"",
        "16: destinations: this must be a list, not a string; write [\"local\"]",
    );
}

#[test]
fn what_makes_a_scanner_is_bounded() {
    let ports = "9: ports: this number is out of range; write a whole number from 1 to 1024";
    refused_in("scanners", "ports = 0", ports);
    refused_in("scanners", "ports = 1025", ports);
    refused_in(
        "scanners",
        "within = 0",
        "10: within: this duration is out of range; write one from 1ms to 1d",
    );
    refused_in(
        "scanners",
        "hold = \"500ms\"",
        "8: hold: this duration is out of range; write one from 1s to 365d",
    );
    refused_in("scanners", "held = 5", "1: unknown key \"held\" in [scanners]; did you mean \"hold\"?");
    refused(
        "scanners = true\n",
        &["1:1: scanners: this must be a section, not true or false; write [scanners] on a line of its own"],
    );
}

#[test]
fn settings_that_only_a_closed_machine_has_use_for_are_warned_of() {
    let expected = |line, key| {
        format!(
            "knock.toml:{line}:1: \"{key}\" does nothing with policy = \"pass\": what it is about passes anyway; \
             leave it out, or write policy = \"drop\""
        )
    };
    let rest = "protected = [\"22/tcp\"]\n";
    let set = "protocols = [\"esp\"]\nping = false\n";
    assert_eq!(
        warnings_of(&format!("[filter]\n{set}{rest}")),
        [expected(2, "protocols"), expected(3, "ping")]
    );
    assert_eq!(warnings_of(&format!("[filter]\nprotocols = []\nping = true\n{rest}")), [""; 0]);
    assert_eq!(
        warnings_of(&format!("[filter]\npolicy = \"drop\"\npublic = [\"80/tcp\"]\n{set}{rest}")),
        [""; 0]
    );
}

#[test]
fn a_machine_that_nobody_could_reach_is_warned_of() {
    let expected = "knock.toml:2:1: with policy = \"drop\" nobody could connect to this machine: no port is public, no source \
                    trusted, and no door opens a port; add a door: [doors.NAME] with a sequence and opens";
    let with = |more: &str| warnings_of(&format!("[filter]\npolicy = \"drop\"\n{more}"));
    let door = |effect| format!("[doors.a]\nsequence = [41207, 5481, 60122]\n{effect}\n");
    for unreachable in ["", "protected = [\"22/tcp\"]\n", &door("start_command = \"x\"")] {
        assert_eq!(with(unreachable), [expected], "{unreachable}");
    }
    for reachable in
        ["public = [\"80/tcp\"]\n", "trusted = [\"192.0.2.0/24\"]\n", &door("opens = [\"22/tcp\"]")]
    {
        assert_eq!(with(reachable), [""; 0], "{reachable}");
    }
}

#[test]
fn a_sequence_as_long_as_a_scan_is_warned_of() {
    let with = |ports: u32| {
        let door = "[doors.a]\nsequence = [41207, \"5481/udp\", 60122, 41207]\nopens = [\"22/tcp\"]\n";
        warnings_of(&format!("{door}[scanners]\nports = {ports}\n"))
    };
    let expected = "knock.toml:4:2: whoever knocks at door \"a\" hits 3 closed ports, and is held as a scanner; \
                    write ports = 4 or more";
    assert_eq!(with(3), [expected]);
    assert_eq!(with(4), [""; 0]);
}
