//! What `status` tells, as `--json` has it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use knock_common::reason::{Reason, Verdict};
use serde::{Serialize, Serializer};

use crate::datapath::PacketCounters;

#[derive(Debug, Serialize)]
pub(super) struct StatusReport {
    pub(super) interfaces: Vec<InterfaceReport>,
    pub(super) controller: Option<ControllerReport>,
    /// How long the change of rules that waits can still be confirmed.
    pub(super) confirm_in_ms: Option<u64>,
    /// That the last change was not confirmed in time.
    #[serde(skip)]
    pub(super) lapsed: Option<Lapsed>,
    /// `None`, here and below: unknown, as there is no filter, no rules are in force, or no controller has said.
    pub(super) policy: Option<String>,
    pub(super) enforce: Option<bool>,
    pub(super) config: Option<ConfigReport>,
    pub(super) doors: Vec<DoorReport>,
    /// Sources that are held for scanning.
    pub(super) held: Vec<HeldReport>,
    pub(super) tables: TablesReport,
    pub(super) counters: CountersReport,
}

/// What is left of a change that was not confirmed in time, and whose controller is not there to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lapsed {
    /// The rules before it are in force.
    ToRulesBefore,
    /// There were none before it.
    ToNothing,
}

#[derive(Debug, Serialize)]
pub(super) struct HeldReport {
    pub(super) address: IpAddr,
    pub(super) expires_in_ms: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct InterfaceReport {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) mode: &'static str,
    pub(super) program_id: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct ControllerReport {
    pub(super) pid: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct ConfigReport {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    /// RFC 3339.
    pub(super) loaded_at: String,
    pub(super) differs_from_disk: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct DoorReport {
    pub(super) name: String,
    pub(super) steps: usize,
    pub(super) opens: Vec<String>,
    /// How often.
    pub(super) opened: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct TablesReport {
    /// Pairs of source and door; the table has room for `max` sources.
    pub(super) grants: TableReport,
    pub(super) attempts: TableReport,
    /// Accepted connections.
    pub(super) flows: TableReport,
    /// What this machine began.
    pub(super) outgoing: TableReport,
}

#[derive(Debug, Serialize)]
pub(super) struct TableReport {
    pub(super) used: usize,
    pub(super) max: usize,
}

/// Packets.
#[derive(Debug, Serialize)]
pub(super) struct CountersReport {
    pub(super) pass: u64,
    pub(super) drop: u64,
    /// Every reason, in the order of their numbers.
    #[serde(serialize_with = "named")]
    pub(super) by_reason: Vec<(Reason, u64)>,
}

/// What scripts ask for: whether the filter is there, and its controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    Controlled,
    NotAttached,
    NoController,
}

impl Attachment {
    const fn exit_status(self) -> u8 {
        match self {
            Self::Controlled => 0,
            Self::NotAttached => 3,
            Self::NoController => 4,
        }
    }

    pub(super) fn exit_code(self) -> ExitCode {
        self.exit_status().into()
    }
}

impl StatusReport {
    pub(super) fn without_filter(controller: Option<ControllerReport>) -> Self {
        let empty = || TableReport { used: 0, max: 0 };
        Self {
            interfaces: Vec::new(),
            controller,
            confirm_in_ms: None,
            lapsed: None,
            policy: None,
            enforce: None,
            config: None,
            doors: Vec::new(),
            held: Vec::new(),
            tables: TablesReport { grants: empty(), attempts: empty(), flows: empty(), outgoing: empty() },
            counters: CountersReport::new(&PacketCounters::new()),
        }
    }

    /// Whether there are tables and counters to tell of.
    pub(super) fn has_filter(&self) -> bool {
        self.enforce.is_some() || self.lapsed.is_some()
    }

    pub(super) fn attachment(&self) -> Attachment {
        match (&self.interfaces[..], &self.controller) {
            ([], _) => Attachment::NotAttached,
            (_, None) => Attachment::NoController,
            (_, Some(_)) => Attachment::Controlled,
        }
    }
}

impl CountersReport {
    pub(super) fn new(counters: &PacketCounters) -> Self {
        let count = |reason: &Reason| counters.get(reason).copied().unwrap_or(0);
        let with = |verdict| Reason::ALL.iter().filter(|reason| reason.verdict() == verdict).map(count).sum();
        Self {
            pass: with(Verdict::Pass),
            drop: with(Verdict::Drop),
            by_reason: Reason::ALL.iter().map(|reason| (*reason, count(reason))).collect(),
        }
    }
}

fn named<S: Serializer>(counts: &[(Reason, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(reason, count)| (reason.name(), count)))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::output;

    pub(in crate::cli::status) fn report() -> StatusReport {
        let counters =
            [(Reason::Public, 1200), (Reason::WouldDrop, 34), (Reason::NoGrant, 98), (Reason::Malformed, 1)];
        StatusReport {
            interfaces: vec![InterfaceReport {
                name: "eth0".into(),
                index: 2,
                mode: "native",
                program_id: 41,
            }],
            controller: Some(ControllerReport { pid: 812 }),
            confirm_in_ms: None,
            lapsed: None,
            policy: Some("pass".into()),
            enforce: Some(true),
            config: Some(ConfigReport {
                path: "/etc/knock/knock.toml".into(),
                sha256: "ab".repeat(32),
                loaded_at: "2026-11-21T06:37:00Z".into(),
                differs_from_disk: false,
            }),
            doors: vec![
                DoorReport { name: "ssh".into(), steps: 3, opens: vec!["22/tcp".into()], opened: 4 },
                DoorReport { name: "gate".into(), steps: 4, opens: Vec::new(), opened: 0 },
            ],
            held: vec![HeldReport { address: [203, 0, 113, 9].into(), expires_in_ms: 599_000 }],
            tables: TablesReport {
                grants: TableReport { used: 1, max: 65_536 },
                attempts: TableReport { used: 7, max: 2_097_152 },
                flows: TableReport { used: 0, max: 262_144 },
                outgoing: TableReport { used: 3, max: 262_144 },
            },
            counters: CountersReport::new(&PacketCounters::from(counters)),
        }
    }

    fn parsed(report: &StatusReport) -> Value {
        serde_json::from_str(&output::json(report).unwrap()).unwrap()
    }

    fn by_reason(counted: Value) -> Value {
        let mut counts: serde_json::Map<String, Value> =
            Reason::ALL.iter().map(|reason| (reason.name().to_owned(), 0.into())).collect();
        counts.extend(counted.as_object().unwrap().clone());
        counts.into()
    }

    #[test]
    fn the_json_form_has_every_member() {
        let expected = json!({
            "version": 1,
            "interfaces": [{ "name": "eth0", "index": 2, "mode": "native", "program_id": 41 }],
            "controller": { "pid": 812 },
            "confirm_in_ms": null,
            "policy": "pass",
            "enforce": true,
            "config": { "path": "/etc/knock/knock.toml", "sha256": "ab".repeat(32),
                        "loaded_at": "2026-11-21T06:37:00Z", "differs_from_disk": false },
            "doors": [{ "name": "ssh", "steps": 3, "opens": ["22/tcp"], "opened": 4 },
                      { "name": "gate", "steps": 4, "opens": [], "opened": 0 }],
            "tables": { "grants": { "used": 1, "max": 65_536 }, "attempts": { "used": 7, "max": 2_097_152 },
                        "flows": { "used": 0, "max": 262_144 },
                        "outgoing": { "used": 3, "max": 262_144 } },
            "held": [{ "address": "203.0.113.9", "expires_in_ms": 599_000 }],
            "counters": { "pass": 1234, "drop": 99, "by_reason":
                by_reason(json!({ "public": 1200, "would_drop": 34, "no_grant": 98, "malformed": 1 })) },
        });
        assert_eq!(parsed(&report()), expected);
    }

    #[test]
    fn a_change_that_waits_is_told_in_milliseconds() {
        let waiting = StatusReport { confirm_in_ms: Some(41_500), ..report() };
        assert_eq!(parsed(&waiting)["confirm_in_ms"], 41_500);
    }

    #[test]
    fn without_a_filter_every_member_is_there_all_the_same() {
        let (with, without) = (parsed(&report()), parsed(&StatusReport::without_filter(None)));
        let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(members(&with), members(&without));
        assert_eq!((&without["interfaces"], &without["controller"]), (&json!([]), &json!(null)));
        assert_eq!(without["counters"], json!({ "pass": 0, "drop": 0, "by_reason": by_reason(json!({})) }));
    }

    #[test]
    fn the_exit_status_tells_the_filter_and_its_controller() {
        let status = |report: &StatusReport| report.attachment().exit_status();
        assert_eq!(status(&report()), 0);
        assert_eq!(status(&StatusReport { controller: None, ..report() }), 4);
        assert_eq!(status(&StatusReport { interfaces: Vec::new(), ..report() }), 3);
        assert_eq!(status(&StatusReport::without_filter(None)), 3);
    }
}
