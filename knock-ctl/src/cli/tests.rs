//! The command line as it is written.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;
use crate::runtime::{ConfigState, DoorState, RunState};

/// What a controller with three doors has put in force.
pub(super) fn state() -> RunState {
    let door = |name: &str, id, opens: &[&str], open_for_ms, connections| DoorState {
        name: name.to_owned(),
        id,
        steps: 3,
        opens: opens.iter().map(|&port| port.to_owned()).collect(),
        open_for_ms,
        connections,
    };
    RunState {
        policy: "pass".to_owned(),
        enforce: true,
        config: ConfigState {
            path: "/etc/knock/knock.toml".into(),
            sha256: "ab".repeat(32),
            loaded_at: "2026-11-21T06:37:00Z".to_owned(),
        },
        doors: vec![
            door("ssh", 7, &["22/tcp"], Some(30_000), 0),
            door("once", 8, &["443/tcp", "8000-8010/udp"], Some(30_000), 1),
            door("gate", 9, &[], None, 0),
        ],
    }
}

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn each_subcommand_is_read_with_its_options() {
    let commands = [
        ("check", "Check(CheckArguments { file: \"/etc/knock/knock.toml\", strict: false, offline: false })"),
        ("check - --strict --offline", "Check(CheckArguments { file: \"-\", strict: true, offline: true })"),
        ("import /etc/knockd.conf", "Import(ImportArguments { file: \"/etc/knockd.conf\" })"),
        ("import -", "Import(ImportArguments { file: \"-\" })"),
        ("reload", "Reload(ReloadArguments { dry_run: false, confirm: None, yes: false })"),
        ("reload --dry-run", "Reload(ReloadArguments { dry_run: true, confirm: None, yes: false })"),
        (
            "reload --confirm 1m",
            "Reload(ReloadArguments { dry_run: false, confirm: Some(ConfirmTime(60s)), yes: false })",
        ),
        ("confirm", "Confirm(ConfirmArguments { yes: false })"),
        ("confirm --yes", "Confirm(ConfirmArguments { yes: true })"),
        ("status", "Status(StatusArguments { json: false, prometheus: false })"),
        ("status --prometheus", "Status(StatusArguments { json: false, prometheus: true })"),
        ("status --json", "Status(StatusArguments { json: true, prometheus: false })"),
        ("why 192.0.2.7", "Why(WhyArguments { address: 192.0.2.7, port: None, to: None, json: false })"),
        (
            "replay a.pcap --local 192.0.2.1 --local ::1 --quiet",
            "Replay(ReplayArguments { capture: \"a.pcap\", config: \"/etc/knock/knock.toml\", local: [192.0.2.1, ::1], \
             listening: [], json: false, quiet: true })",
        ),
        ("grants --json", "Grants(GrantsArguments { json: true })"),
        ("drops --json", "Drops(DropsArguments { json: true })"),
        (
            "grant 192.0.2.7 ssh",
            "Grant(GrantArguments { address: 192.0.2.7, what: Door(DoorName(\"ssh\")), open_for: None })",
        ),
        (
            "allow 2001:db8::7 22/tcp --for 90s",
            "Grant(GrantArguments { address: 2001:db8::7, what: Port(Port { protocol: Tcp, number: 22 }), \
             open_for: Some(GrantTime(For(90s))) })",
        ),
        ("revoke 192.0.2.7", "Revoke(RevokeArguments { address: 192.0.2.7, what: None })"),
        (
            "revoke 192.0.2.7 ssh",
            "Revoke(RevokeArguments { address: 192.0.2.7, what: Some(Door(DoorName(\"ssh\"))) })",
        ),
    ];
    for (line, expected) in commands {
        assert_eq!(format!("{:?}", parse(&format!("knock-ctl {line}")).unwrap()), expected, "{line}");
    }
    assert!(matches!(parse("knock-ctl knock localhost 7000"), Ok(Command::Client(ClientCommand::Knock(_)))));
}

#[test]
fn a_wrong_call_ends_with_status_2_and_help_with_0() {
    for line in [
        "knock-ctl",
        "knock-ctl stats",
        "knock-ctl status --xml",
        "knock-ctl grant 192.0.2.7",
        "knock-ctl grant 192.0.2.0/24 ssh",
        "knock-ctl grant 192.0.2.7 22-23/tcp",
        "knock-ctl grant 192.0.2.7 ssh --for soon",
        "knock-ctl revoke",
        "knock-ctl import",
        "knock-ctl generate",
        "knock-ctl generate 22",
        "knock-ctl generate 22/tcp --bits 0",
        "knock-ctl generate 22/tcp --bits 513",
        "knock-ctl reload --confirm",
        "knock-ctl reload --confirm 500ms",
        "knock-ctl attach --confirm soon",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    for (line, kind) in [
        ("knock-ctl --help", ErrorKind::DisplayHelp),
        ("knock-ctl --version", ErrorKind::DisplayVersion),
        ("knock-ctl status --version", ErrorKind::DisplayVersion),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 0), "{line}");
    }
}
