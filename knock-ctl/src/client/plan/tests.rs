use clap::Parser;
use knock_common::port::Port;
use tempfile::TempDir;

use super::*;
use crate::config::hosts::tests::write_private;

const HOSTS: &str = "\
[hosts.web]
address = \"192.0.2.7\"
sequence = [41207, \"5481/udp\"]
delay = \"5ms\"
family = 4
wait = 22
retry = 2
[hosts.plain]
one_time = \"plain.lines\"
";

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    knock: KnockArguments,
}

fn plan(line: &str) -> Result<Plan, PlanError> {
    plan_with(HOSTS, line)
}

fn plan_with(hosts: &str, line: &str) -> Result<Plan, PlanError> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hosts.toml");
    write_private(&file, hosts);
    let arguments = CommandLine::try_parse_from(line.split_whitespace()).unwrap().knock;
    let mut plan = Plan::new(&arguments, Some(&file))?;
    if let Secret::OneTime(path) = &mut plan.secret {
        *path = path.strip_prefix(folder.path()).unwrap_or(path).to_owned();
    }
    Ok(plan)
}

fn sequence(steps: &[Option<Port>]) -> Secret {
    Secret::Sequence(Sequence::new(steps.iter().copied().map(Option::unwrap).collect()).unwrap())
}

fn port(text: &str) -> WaitPort {
    text.parse().unwrap()
}

#[test]
fn a_name_stands_for_what_the_file_says_of_it() {
    let expected = Plan {
        host: "192.0.2.7".to_owned(),
        family: Some(Family::Ipv4),
        secret: sequence(&[Port::tcp(41207), Port::udp(5481)]),
        delay: Duration::from_millis(5),
        afterwards: Afterwards::Wait { port: port("22"), retries: 2 },
    };
    assert_eq!(plan("knock web").unwrap(), expected);
    let expected = Plan {
        host: "plain".to_owned(),
        family: None,
        secret: Secret::OneTime("plain.lines".into()),
        delay: DEFAULT_DELAY,
        afterwards: Afterwards::Nothing,
    };
    assert_eq!(plan("knock plain").unwrap(), expected);
}

#[test]
fn options_stand_before_the_file() {
    let expected = Plan {
        host: "192.0.2.7".to_owned(),
        family: Some(Family::Ipv6),
        secret: sequence(&[Port::tcp(41207), Port::udp(5481)]),
        delay: Duration::from_millis(70),
        afterwards: Afterwards::Relay { port: port("2222"), retries: 0 },
    };
    assert_eq!(plan("knock web -6 -d 70 --wait 2222 --retry 0 --stdio").unwrap(), expected);
}

#[test]
fn a_sequence_on_the_command_line_leaves_the_file_unread() {
    let plain = Plan {
        host: "web".to_owned(),
        family: None,
        secret: sequence(&[Port::tcp(1), Port::udp(2)]),
        delay: DEFAULT_DELAY,
        afterwards: Afterwards::Nothing,
    };
    assert_eq!(plan("knock web 1 2:udp").unwrap(), plain);
    let broken = "[hosts.web\n";
    assert_eq!(plan_with(broken, "knock web 1 2:udp").unwrap(), plain);
    let one_time = Plan { secret: Secret::OneTime("some.lines".into()), ..plain };
    assert_eq!(plan_with(broken, "knock web --one-time some.lines").unwrap(), one_time);
    assert!(matches!(plan_with(broken, "knock web"), Err(PlanError::Hosts(_))));
}

#[test]
fn knockds_command_lines_mean_the_same_here() {
    let expected = Plan {
        host: "example.net".to_owned(),
        family: Some(Family::Ipv4),
        secret: sequence(&[Port::udp(8284), Port::tcp(4721), Port::udp(18592)]),
        delay: Duration::from_millis(100),
        afterwards: Afterwards::Nothing,
    };
    assert_eq!(plan("knock -u -v -d 100 -4 example.net 8284 4721:tcp 18592/udp").unwrap(), expected);
}

#[test]
fn a_call_that_lacks_something_says_what_to_write() {
    let message = |line: &str| match plan(line).unwrap_err() {
        PlanError::Call(error) => error.to_string(),
        PlanError::Hosts(errors) => panic!("{errors}"),
    };
    let message_of_unknown = message("knock example.net");
    let begin = "what to knock at example.net? Name its ports, as in \"knock-ctl knock example.net PORT PORT PORT\", \
                 or write them into ";
    assert!(message_of_unknown.starts_with(begin), "{message_of_unknown}");
    let end = "/hosts.toml as [hosts.\"example.net\"], sequence = [...]";
    assert!(message_of_unknown.ends_with(end), "{message_of_unknown}");
    assert_eq!(message("knock plain --stdio"), "--stdio needs a port to connect to: give --wait PORT too");
    assert_eq!(message("knock h 1 --retry 2"), "--retry needs a port to connect to: give --wait PORT too");
    let many = format!("knock h{}", " 7".repeat(33));
    assert_eq!(message(&many), "this sequence has 33 steps, more than 32; keep to 32");
}
