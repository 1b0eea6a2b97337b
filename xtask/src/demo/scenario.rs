//! The story that the demo tells, and checks.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::filter::{Filter, OPEN_FOR, SEQUENCE};
use super::lab::{Lab, SERVER};
use super::service::Service;
use crate::story::Interrupt;
use crate::story::Timeline;
use crate::story::ask;

const STARTUP_LIMIT: Duration = Duration::from_secs(10);
const SCAN_LIMIT: Duration = Duration::from_secs(120);
const KNOCK_LIMIT: Duration = Duration::from_secs(10);

/// Fails at the first step that is not as it should be.
pub fn play(lab: &Lab, program: &Path, interrupt: &Interrupt) -> Result<()> {
    let timeline = Timeline::begin();
    let service = Service::start(lab)?;
    let ssh = service.name();
    let connects = |host| service.connect(host, interrupt);

    interrupt.wait_for("starting the service", STARTUP_LIMIT, || connects(&lab.stranger))?;
    timeline.say("stranger", &format!("without the filter, {ssh} answers anyone"));

    let filter = Filter::attach(lab, program, interrupt)?;
    timeline.say("server", "the filter is attached");

    let refused = connects(&lab.stranger)?.is_none();
    timeline.expect(refused, "stranger", &format!("{ssh} fails: nothing answers"))?;

    let open = scan(lab, interrupt)?;
    timeline.expect(
        open == 0,
        "stranger",
        "a full nmap scan, 65535 TCP ports in ascending order, finds none open",
    )?;
    timeline.expect(filter.grants()? == 0, "server", "the scan has opened nothing: there are no grants")?;
    let refused = connects(&lab.stranger)?.is_none();
    timeline.expect(refused, "stranger", &format!("{ssh} still fails"))?;

    knock(lab, interrupt)?;
    let knocked = Instant::now();
    timeline.say("friend", "the stock `knock` client has knocked");

    let session = connects(&lab.friend)?;
    let took = knocked.elapsed().as_millis();
    timeline.expect(session.is_some(), "friend", &format!("{ssh} works at once, within {took} ms"))?;
    let refused = connects(&lab.stranger)?.is_none();
    timeline.expect(refused, "stranger", &format!("{ssh} still fails: the grant is the friend's alone"))?;

    interrupt.wait_for("the end of the grant", OPEN_FOR + Duration::from_secs(2), || {
        Ok((filter.grants()? == 0).then_some(()))
    })?;
    let lasted = knocked.elapsed();
    ensure!(
        lasted.abs_diff(OPEN_FOR) < Duration::from_secs(1),
        "not as it should be: the grant lasted {lasted:?} instead of {OPEN_FOR:?}"
    );
    timeline.say("server", &format!("the grant has ended, after {:.1} s", lasted.as_secs_f32()));

    let lives = match session {
        Some(mut session) => session.answers(interrupt)?,
        None => false,
    };
    timeline.expect(lives, "friend", "the session lives on")?;
    let refused = connects(&lab.friend)?.is_none();
    timeline.expect(refused, "friend", "a new one is refused")?;
    drop(filter);
    timeline.say("server", "the filter is detached");
    Ok(())
}

/// How many open TCP ports of the server the stranger finds.
fn scan(lab: &Lab, interrupt: &Interrupt) -> Result<usize> {
    let mut nmap = lab.stranger.command("nmap");
    nmap.args(["-sS", "-Pn", "-n", "-r", "-p-", "--max-retries", "0", "--min-rate", "20000", "-oG", "-"]);
    let answer = ask(nmap.arg(SERVER.to_string()), SCAN_LIMIT, interrupt)?;
    ensure!(answer.success && answer.output.contains("# Nmap done"), "the nmap scan failed");
    Ok(answer.output.matches("/open/").count())
}

fn knock(lab: &Lab, interrupt: &Interrupt) -> Result<()> {
    let mut knock = lab.friend.command("knock");
    knock.args(["-d", "50"]).arg(SERVER.to_string()).args(SEQUENCE.map(|port| port.to_string()));
    ensure!(ask(&mut knock, KNOCK_LIMIT, interrupt)?.success, "the `knock` client failed");
    Ok(())
}
