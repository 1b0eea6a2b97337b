use super::super::describe;
use super::accepted;

#[test]
fn the_description_says_what_the_file_means_and_no_sequence() {
    let text = r#"
[filter]
interfaces = ["eth0"]
public = ["443/tcp", "80/tcp"]
protected = ["8000-8100/tcp", "80/tcp"]
trusted = ["192.0.2.0/24", { from = "198.51.100.1", to = ["9100/tcp"] }]
established = "cut"
[doors.ssh]
sequence = [31207, "5481/udp", 60122]
tcpflags = "syn"
opens = ["22/tcp", "60000-60010/udp"]
connections = 1
run_as = "nobody"
start_command = ["logger", "%IP%"]
[doors.close]
sequence = [31208]
seq_timeout = "2m"
revokes = ["ssh"]
start_command = "echo\none"
stop_command = "echo two"
stop_command_6 = ""
"#;
    let expected = "\
Filters: eth0.
Closed: 22/tcp, 8000-8100/tcp, 60000-60010/udp. Other ports are left as they are.
No knock opens 8000-8100/tcp.
Always open: 443/tcp, 80/tcp.
Need not knock: 192.0.2.0/24, 198.51.100.1/32 (only for 9100/tcp).

Door ssh: 3 knocks within 10s, TCP flags syn.
  Strength: none, since the sequence is published: a blind attacker tries it first.
  Opens 22/tcp, 60000-60010/udp to the source for 30s, for 1 connection; connections made meanwhile end then.
  Runs when it opens, [\"logger\", \"%IP%\"]
  Commands run as nobody and are ended after 30s.

Door close: 1 knock within 2m.
  Strength: 16 bits, if its ports were chosen at random; a blind attacker who sends 1,000,000 packets a second needs less than 2 seconds on average.
  Takes from the source what it has by ssh.
  Runs when it opens, by the shell: echo\\none
  Runs 10s later for IPv4 sources, by the shell: echo two
  Commands run as the controller's user and are ended after 30s.

To open any one of these doors, a blind attacker who sends 1,000,000 packets a second needs less than 2 seconds on average.
Kernel memory: at most 64 MiB for these limits.
";
    assert_eq!(describe::describe(&accepted(text).config, 64 << 20), expected);
}

#[test]
fn the_description_of_a_machine_behind_the_filter_says_what_passes() {
    let describe = |filter: &str| {
        let text = format!("[filter]\npolicy = \"drop\"\n{filter}");
        describe::describe(&accepted(&text).config, 64 << 20)
    };
    let expected = "\
Filters: the interfaces that \"attach\" names.
Only what is sent to this machine's own addresses, 203.0.113.5 is filtered.
Closed: every port, but for those that are named below.
Always open: 443/tcp.
Passes too: connections that this machine begins, DHCP, ICMP except echo requests and the like, IGMP, ipip (4), 253.
Need not knock: 192.0.2.0/24.
Held: a source that hits 1 different closed port within 10s, for 10m; public ports are closed to it too.
Metrics: at http://127.0.0.1:9762/metrics.
Kernel memory: at most 64 MiB for these limits.
";
    let text = r#"
public = ["443/tcp"]
protected = ["22/tcp"]
trusted = ["192.0.2.0/24"]
protocols = ["ipip", 253]
ping = false
destinations = ["local", "203.0.113.5"]
[scanners]
ports = 1
include_public = true
[metrics]
listen = "127.0.0.1:9762"
"#;
    assert_eq!(describe(text), expected);
    let expected = "\
Filters: the interfaces that \"attach\" names.
Closed: every port, but for those that are named below.
Passes too: connections that this machine begins, DHCP, ICMP, IGMP.
Held: a source that hits 20 different closed ports within 10s, for 10m; public ports stay open to it.
Kernel memory: at most 64 MiB for these limits.
";
    assert_eq!(describe("[scanners]\n"), expected);
}

#[test]
fn doors_with_a_common_beginning_are_told_with_what_is_left_to_guess() {
    let text = r#"
[doors.a]
sequence = [41207, "5481/udp", 60122]
opens = ["22/tcp"]
[doors.b]
sequence = [41207, "5481/udp", 7, "9/udp"]
opens = ["23/tcp"]
[doors.c]
sequence = [41207, 80, 40]
opens = ["24/tcp"]
[doors.d]
sequence = ["41207/udp", 80, 40]
revokes = ["a"]
"#;
    let description = describe::describe(&accepted(text).config, 64 << 20);
    let told: Vec<&str> = description
        .lines()
        .filter(|line| line.starts_with("Door") || line.contains("first") || line.contains("any one"))
        .collect();
    let expected = [
        "Door a: 3 knocks within 10s.",
        "  Its first 2 knocks are those of door b, too: for whoever knows them 17 bits are left.",
        "Door b: 4 knocks within 10s.",
        "  Its first 2 knocks are those of door a, too: for whoever knows them 34 bits are left.",
        "Door c: 3 knocks within 10s.",
        "  Its first knock is that of door a, too: for whoever knows it 32 bits are left.",
        "Door d: 3 knocks within 10s.",
        "To open any one of these doors, a blind attacker who sends 1,000,000 packets a second needs 4.2 years on average.",
    ];
    assert_eq!(told, expected);
}

#[test]
fn where_the_log_goes_is_told_where_it_is_not_as_ever() {
    let told = |log: &str| {
        let text = format!("[log]\n{log}[doors.a]\nsequence = [41207, 5481, 60122]\nopens = [\"22/tcp\"]\n");
        let description = describe::describe(&accepted(&text).config, 64 << 20);
        description.lines().find(|line| line.starts_with("Logged")).map(str::to_owned)
    };
    assert_eq!(
        told("stages = true\ndrops = true\nsyslog = true\nfile = \"/var/log/knock.log\"\n").as_deref(),
        Some(
            "Logged too: to syslog, to /var/log/knock.log, each step of an attempt, a sample of what is dropped."
        )
    );
    assert_eq!(told(""), None);
}

#[test]
fn what_is_closed_without_a_door_is_told_to_the_port() {
    let told = |opens: &str| {
        let text = format!(
            "[filter]\nprotected = [\"8000-8100/tcp\", \"65000-65535/udp\", \"5/tcp\"]\n\
             [doors.a]\nsequence = [41207, 5481, 60122]\nopens = [{opens}]\n"
        );
        let description = describe::describe(&accepted(&text).config, 64 << 20);
        description.lines().find(|line| line.starts_with("No knock")).map(str::to_owned)
    };
    assert_eq!(
        told("\"8050/tcp\", \"8100-9000/tcp\", \"65000-65535/udp\", \"8000/udp\"").as_deref(),
        Some("No knock opens 5/tcp, 8000-8049/tcp, 8051-8099/tcp.")
    );
    assert_eq!(told("\"any\""), None);
    assert_eq!(told("\"1-65535/tcp\", \"1-65535/udp\""), None);
}
