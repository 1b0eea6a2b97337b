//! What `why` tells.

use std::net::IpAddr;
use std::time::Duration;

use knock_common::flow::{Flow, Phase};
use knock_common::judge::Judgement;
use knock_common::reason::{Reason, Verdict};
use serde::Serialize;

use super::broken_off::BrokenOffReport;
use crate::cli::grants::{GrantReport, in_words};
use crate::cli::output;
use crate::config::duration::format_duration;
use crate::replay::Effect;

#[derive(Debug, Serialize)]
pub(super) struct WhyReport {
    pub(super) address: IpAddr,
    /// Where its next packet is taken to be sent.
    pub(super) to: IpAddr,
    pub(super) trusted: Option<Trusted>,
    /// For scanning.
    pub(super) held_for_ms: Option<u64>,
    pub(super) attempt: Option<AttemptReport>,
    /// The last attempt, where a wrong knock ended it and none has begun since.
    pub(super) broken_off: Option<BrokenOffReport>,
    pub(super) grants: Vec<GrantReport>,
    /// Accepted under grants. They are found by a hash: a few may be another address's.
    pub(super) connections: ConnectionsReport,
    pub(super) unanswered: Vec<Unanswered>,
    pub(super) next: Vec<NextReport>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trusted {
    EveryPort,
    SomePorts,
}

#[derive(Debug, Serialize)]
pub(super) struct AttemptReport {
    /// Those that the right knocks from here on would open; of a complete one, the one it has opened.
    pub(super) doors: Vec<String>,
    pub(super) steps: u32,
    pub(super) complete: bool,
    pub(super) begun_ms_ago: u64,
    pub(super) expires_in_ms: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct ConnectionsReport {
    half_open: usize,
    established: usize,
    closing: usize,
}

/// A connection that has been half-open for long.
#[derive(Debug, Serialize)]
pub(super) struct Unanswered {
    /// What let it in: a door or a port.
    pub(super) granted: Option<String>,
    pub(super) since_ms: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct NextReport {
    port: String,
    verdict: &'static str,
    reason: &'static str,
    rule: &'static str,
    effects: Vec<String>,
}

impl ConnectionsReport {
    pub(super) fn of(flows: &[Flow]) -> Self {
        let count = |phase| flows.iter().filter(|flow| flow.phase == phase).count();
        Self {
            half_open: count(Phase::HalfOpen),
            established: count(Phase::Established),
            closing: count(Phase::Closing),
        }
    }
}

impl NextReport {
    pub(super) fn new(port: String, judgement: &Judgement, effects: &[Effect]) -> Self {
        let reason = judgement.reason();
        Self {
            port,
            verdict: match reason.verdict() {
                Verdict::Pass => "pass",
                Verdict::Drop => "drop",
            },
            reason: reason.name(),
            rule: rule(judgement.decided),
            effects: effects.iter().map(Effect::to_string).collect(),
        }
    }
}

/// The rule that decides, in words.
const fn rule(decided: Reason) -> &'static str {
    match decided {
        Reason::Public => "the port is public",
        Reason::Trusted => "the source is trusted for this port",
        Reason::Granted => "a grant of the source opens the port",
        Reason::NoGrant => "the port is closed, and no grant of the source opens it or has a connection left",
        Reason::PolicyDrop => {
            "the policy is \"drop\", and no grant of the source opens the port or has a connection left"
        }
        Reason::Knock => "a knock on a port that is not closed: it is answered like any other there",
        Reason::Unlisted => "nothing closes the port",
        Reason::Held => "the source is held for scanning",
        Reason::NotOurs => "the address it is sent to is not among the destinations",
        Reason::Flow => "it is part of a known connection",
        _ => "it is not for the rules about ports to decide",
    }
}

impl WhyReport {
    /// Several lines, the last one ended too.
    pub(super) fn to_text(&self) -> String {
        let mut lines = vec![("Source", self.address.to_string())];
        lines.extend(self.trusted.map(|trusted| {
            let what = match trusted {
                Trusted::EveryPort => "for every port: it need not knock",
                Trusted::SomePorts => "for some ports",
            };
            ("Trusted", what.to_owned())
        }));
        lines.extend(self.held_for_ms.map(|left| ("Held", format!("for scanning, for {}", seconds(left)))));
        lines.push((
            "Attempt",
            self.attempt.as_ref().map_or_else(|| "none under way".to_owned(), AttemptReport::to_text),
        ));
        lines.extend(self.broken_off.as_ref().map(|broken| ("Broken off", broken.to_text())));
        for grant in &self.grants {
            lines.push(("Grant", grant_in_words(grant)));
        }
        if self.grants.is_empty() {
            lines.push(("Grant", "none".to_owned()));
        }
        let ConnectionsReport { half_open, established, closing } = self.connections;
        if half_open + established + closing > 0 {
            let counts = format!("{established} established, {half_open} half-open, {closing} closing");
            lines.push(("Connections", counts));
        }
        lines.extend(self.unanswered.iter().map(|flow| ("Unanswered", flow.to_text())));
        let facts: String = lines.into_iter().map(|(name, value)| format!("{name:<13}{value}\n")).collect();
        let rows = self.next.iter().map(|next| {
            let rule = match &next.effects[..] {
                [] => next.rule.to_owned(),
                effects => format!("{}; {}", next.rule, effects.join(", ")),
            };
            [next.port.clone(), next.verdict.to_owned(), next.reason.to_owned(), rule]
        });
        let table = output::table(["NEXT PACKET", "VERDICT", "REASON", "RULE"], rows);
        format!("{facts}\nIf it sent a new connection's first packet to {}:\n\n{table}", self.to)
    }
}

impl AttemptReport {
    fn to_text(&self) -> String {
        let doors = self.doors.join(", ");
        if self.complete {
            return format!("complete: {doors}, begun {} ago", seconds(self.begun_ms_ago));
        }
        let (steps, plural) = (self.steps, if self.steps == 1 { "" } else { "s" });
        format!(
            "{steps} step{plural} towards {doors}, begun {} ago, over in {}",
            seconds(self.begun_ms_ago),
            seconds(self.expires_in_ms)
        )
    }
}

impl Unanswered {
    fn to_text(&self) -> String {
        let granted =
            self.granted.as_ref().map(|granted| format!(" under the grant of {granted}")).unwrap_or_default();
        format!(
            "{} ago a first packet passed{granted}, and the client was not heard of since: netfilter or the service did \
             not answer, or the answer was lost",
            seconds(self.since_ms)
        )
    }
}

fn grant_in_words(grant: &GrantReport) -> String {
    let what = grant.door.clone().unwrap_or_else(|| grant.opens.join(", "));
    let opens = if grant.door.is_some() { format!(" ({})", grant.opens.join(", ")) } else { String::new() };
    let left = grant.connections_left.map(|left| format!(", {left} connections left")).unwrap_or_default();
    let time = in_words(grant.expires_in_ms.map(Duration::from_millis));
    format!("{what}{opens}, {time}{left}, by {}", grant.by)
}

/// Whole seconds, begun ones counted.
pub(super) fn seconds(milliseconds: u64) -> String {
    format_duration(Duration::from_secs(milliseconds.div_ceil(1000)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report() -> WhyReport {
        WhyReport {
            address: [192, 0, 2, 7].into(),
            to: [198, 51, 100, 1].into(),
            trusted: None,
            held_for_ms: Some(1500),
            attempt: Some(AttemptReport {
                doors: vec!["ssh".to_owned(), "web".to_owned()],
                steps: 2,
                complete: false,
                begun_ms_ago: 1200,
                expires_in_ms: 8800,
            }),
            broken_off: None,
            grants: vec![GrantReport {
                address: [192, 0, 2, 7].into(),
                door: Some("once".to_owned()),
                opens: vec!["443/tcp".to_owned()],
                expires_in_ms: Some(28_750),
                connections_left: Some(1),
                by: "knock",
            }],
            connections: ConnectionsReport { half_open: 1, established: 2, closing: 0 },
            unanswered: vec![Unanswered { granted: Some("once".to_owned()), since_ms: 2500 }],
            next: vec![NextReport {
                port: "22/tcp".to_owned(),
                verdict: "drop",
                reason: "no_grant",
                rule: rule(Reason::NoGrant),
                effects: vec![Effect::Reset.to_string()],
            }],
        }
    }

    #[test]
    fn the_text_form_says_everything() {
        let expected = "\
Source       192.0.2.7
Held         for scanning, for 2s
Attempt      2 steps towards ssh, web, begun 2s ago, over in 9s
Grant        once (443/tcp), for 29s, 1 connections left, by knock
Connections  2 established, 1 half-open, 0 closing
Unanswered   3s ago a first packet passed under the grant of once, and the client was not heard of since: netfilter or the service did not answer, or the answer was lost

If it sent a new connection's first packet to 198.51.100.1:

NEXT PACKET  VERDICT  REASON    RULE
22/tcp       drop     no_grant  the port is closed, and no grant of the source opens it or has a connection left; attempt reset
";
        assert_eq!(report().to_text(), expected);
    }

    #[test]
    fn the_json_form_has_every_member() {
        let told: Value = serde_json::from_str(&output::json(&report()).unwrap()).unwrap();
        let expected = json!({
            "version": 1, "address": "192.0.2.7", "to": "198.51.100.1", "trusted": null, "held_for_ms": 1500,
            "attempt": { "doors": ["ssh", "web"], "steps": 2, "complete": false, "begun_ms_ago": 1200,
                         "expires_in_ms": 8800 },
            "broken_off": null,
            "grants": [{ "address": "192.0.2.7", "door": "once", "opens": ["443/tcp"], "expires_in_ms": 28_750,
                         "connections_left": 1, "by": "knock" }],
            "connections": { "half_open": 1, "established": 2, "closing": 0 },
            "unanswered": [{ "granted": "once", "since_ms": 2500 }],
            "next": [{ "port": "22/tcp", "verdict": "drop", "reason": "no_grant", "rule": rule(Reason::NoGrant),
                       "effects": ["attempt reset"] }],
        });
        assert_eq!(told, expected);
    }
}
