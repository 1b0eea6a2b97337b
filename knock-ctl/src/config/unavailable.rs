//! Settings that the file format has and this version cannot honour.

use std::time::Duration;

use super::report::{Fault, Report};
use super::scalar;
use super::section::{Kind, Section};
use super::tree::{Node, Value};

/// The one value of an unavailable key that means what happens anyway.
enum Only {
    Nothing,
    Text(&'static str),
    Boolean(bool),
    EmptyList,
    Seconds(u64),
}

const UNAVAILABLE: &[(Kind, &str, Only)] = &[
    (Kind::File, "scanners", Only::Nothing),
    (Kind::File, "metrics", Only::Nothing),
    (Kind::Filter, "policy", Only::Text("pass")),
    (Kind::Filter, "protocols", Only::EmptyList),
    (Kind::Filter, "ping", Only::Boolean(true)),
    (Kind::Filter, "destinations", Only::EmptyList),
    (Kind::Door, "one_time_sequences", Only::Nothing),
    (Kind::Door, "approve_command", Only::Nothing),
    (Kind::Timeouts, "udp", Only::Seconds(180)),
    (Kind::Timeouts, "icmp", Only::Seconds(30)),
    (Kind::Log, "drops", Only::Boolean(false)),
    (Kind::Log, "syslog", Only::Boolean(false)),
    (Kind::Log, "file", Only::Nothing),
];

/// Reports each key of the section that this version cannot honour as it is set.
pub(super) fn refuse(section: &mut Section<'_>, report: &mut Report) {
    let kind = section.kind();
    for (_, key, only) in UNAVAILABLE.iter().filter(|(owner, ..)| *owner == kind) {
        let Some(entry) = section.entry(key).filter(|entry| !only.is(&entry.node)) else { continue };
        let (what, help) = match only {
            Only::Nothing => (format!("\"{key}\" is"), "leave it out".to_owned()),
            _ => (format!("this value of \"{key}\" is"), format!("leave it out or write {}", only.text())),
        };
        report.error(Fault::new(
            entry.place,
            format!("{what} not available in this version of knock-ctl"),
            help,
        ));
    }
}

impl Only {
    fn is(&self, node: &Node) -> bool {
        match (self, &node.value) {
            (Self::Text(only), Value::Text(text)) => only == text,
            (Self::Boolean(only), Value::Boolean(boolean)) => only == boolean,
            (Self::EmptyList, Value::Array(items)) => items.is_empty(),
            (Self::Seconds(only), _) => scalar::duration(Duration::ZERO..=Duration::MAX)(node)
                .is_ok_and(|d| d.as_secs_f64() == *only as f64),
            _ => false,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::EmptyList => "[]".to_owned(),
            Self::Seconds(seconds) => format!("\"{seconds}s\""),
        }
    }
}
