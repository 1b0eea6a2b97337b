//! From what was seen and counted to text.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use knock_common::reason::Verdict;
use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::{Counts, Sample};
use crate::version::version;

/// Of the answer to a request for metrics.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The metrics could not be made; none is left out silently.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Every metric, the last line ended too. Without `counts`, those that the controller alone knows are left out.
pub fn to_text(sample: &Sample, counts: Option<&Counts>) -> Result<String, MetricsError> {
    let registry = Registry::new();
    tell_filter(&registry, sample)?;
    tell_interfaces(&registry, sample, counts)?;
    if let Some(counts) = counts {
        add(&registry, counts.grants_refused.clone())?;
        add(&registry, counts.events_lost.clone())?;
        add(&registry, counts.commands.clone())?;
        add(&registry, counts.last_reload_successful.clone())?;
    }
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

fn tell_filter(registry: &Registry, sample: &Sample) -> Result<(), MetricsError> {
    let build = gauges(registry, "knock_build_info", "The version of knock-ctl, always 1.", &["version"])?;
    build.with_label_values(&[version()]).set(1);
    gauge(registry, "knock_controller_running", "Whether a controller runs.", sample.controller_runs.into())?;
    if let Some(differs) = sample.differs_from_disk {
        gauge(
            registry,
            "knock_config_differs_from_disk",
            "Whether the files would give another configuration than the one in force, or none.",
            differs.into(),
        )?;
    }
    let packets = counters(
        registry,
        "knock_packets_total",
        "Packets, by where they came in, what became of them and why.",
        &["interface", "verdict", "reason"],
    )?;
    for (interface, counters) in &sample.packets {
        for (reason, count) in counters {
            let labels = [interface.as_str(), verdict(reason.verdict()), reason.name()];
            packets.with_label_values(&labels).inc_by(*count);
        }
    }
    let opened = counters(registry, "knock_door_opened_total", "How often each door was opened.", &["door"])?;
    for (door, count) in &sample.doors {
        opened.with_label_values(&[door]).inc_by(*count);
    }
    let entries = gauges(
        registry,
        "knock_table_entries",
        "Entries in use: of grants, the sources that hold one.",
        &["table"],
    )?;
    let capacity = gauges(registry, "knock_table_capacity", "Entries that there is room for.", &["table"])?;
    for (table, in_use) in &sample.tables {
        entries.with_label_values(&[table.name()]).set(in_use.used as i64);
        capacity.with_label_values(&[table.name()]).set(in_use.max as i64);
    }
    Ok(())
}

/// Those that the filter is on, and those that it should be on and is not.
fn tell_interfaces(
    registry: &Registry,
    sample: &Sample,
    counts: Option<&Counts>,
) -> Result<(), MetricsError> {
    let attached = gauges(
        registry,
        "knock_interface_attached",
        "Whether the filter is on the interface, and in which mode.",
        &["interface", "mode"],
    )?;
    let mut missing: BTreeSet<String> = counts
        .map(|counts| counts.interfaces.lock().unwrap_or_else(PoisonError::into_inner).clone())
        .unwrap_or_default();
    for interface in &sample.interfaces {
        missing.remove(&interface.name);
        attached.with_label_values(&[interface.name.as_str(), interface.mode]).set(1);
    }
    for name in &missing {
        attached.with_label_values(&[name.as_str(), "none"]).set(0);
    }
    Ok(())
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
    }
}

fn gauge(registry: &Registry, name: &str, help: &str, value: i64) -> Result<(), MetricsError> {
    let gauge = IntGauge::new(name, help)?;
    gauge.set(value);
    add(registry, gauge)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
    add(registry, gauges.clone())?;
    Ok(gauges)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, MetricsError> {
    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
    add(registry, counters.clone())?;
    Ok(counters)
}

fn add(registry: &Registry, metric: impl Collector + 'static) -> Result<(), MetricsError> {
    Ok(registry.register(Box::new(metric))?)
}

#[cfg(test)]
mod tests {
    use knock_common::reason::Reason;

    use super::*;
    use crate::datapath::{FilteredInterface, PacketCounters, TableUse};
    use crate::metrics::{CommandEnd, Table};

    fn sample() -> Sample {
        let interface =
            |name: &str, mode| FilteredInterface { name: name.to_owned(), index: 2, mode, program_id: 41 };
        Sample {
            interfaces: vec![interface("eth0", "native")],
            controller_runs: true,
            packets: vec![(
                "eth0".to_owned(),
                PacketCounters::from([(Reason::Public, 1200), (Reason::NoGrant, 98)]),
            )],
            doors: vec![("ssh".to_owned(), 4)],
            tables: vec![(Table::Grants, TableUse { used: 1, max: 65_536 })],
            differs_from_disk: Some(true),
        }
    }

    fn lines(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn everything_is_told_by_the_controller() {
        let counts = Counts::new().unwrap();
        counts.events_lost.inc_by(3);
        counts.command_ended("ssh", "start", CommandEnd::TimedOut);
        counts.reloaded(false);
        counts.expect_interfaces(["eth0", "eth1"].map(str::to_owned).into());
        let text = to_text(&sample(), Some(&counts)).unwrap();
        let version = format!("knock_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        let expected = [
            &version,
            "knock_commands_total{door=\"ssh\",kind=\"start\",result=\"timed_out\"} 1",
            "knock_config_differs_from_disk 1",
            "knock_config_last_reload_successful 0",
            "knock_controller_running 1",
            "knock_door_opened_total{door=\"ssh\"} 4",
            "knock_events_lost_total 3",
            "knock_grants_refused_total 0",
            "knock_interface_attached{interface=\"eth0\",mode=\"native\"} 1",
            "knock_interface_attached{interface=\"eth1\",mode=\"none\"} 0",
            "knock_packets_total{interface=\"eth0\",reason=\"no_grant\",verdict=\"drop\"} 98",
            "knock_packets_total{interface=\"eth0\",reason=\"public\",verdict=\"pass\"} 1200",
            "knock_table_capacity{table=\"grants\"} 65536",
            "knock_table_entries{table=\"grants\"} 1",
        ];
        assert_eq!(lines(&text), expected);
        assert!(text.contains("# TYPE knock_packets_total counter\n"), "{text}");
    }

    /// Names that begin as those of metrics do.
    fn names(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !c.is_ascii_lowercase() && c != '_')
            .filter(|word| word.starts_with("knock_"))
            .collect()
    }

    #[test]
    fn what_the_dashboard_and_the_alerts_ask_for_exists() {
        let counts = Counts::new().unwrap();
        counts.command_ended("ssh", "start", CommandEnd::Succeeded);
        let told = to_text(&sample(), Some(&counts)).unwrap();
        let told = names(&told);
        let dashboard = include_str!("../../contrib/grafana/dashboard.json");
        assert!(serde_json::from_str::<serde_json::Value>(dashboard).is_ok());
        assert_eq!(names(dashboard), told, "the dashboard shows everything");
        let alerts = names(include_str!("../../contrib/prometheus/alerts.yml"));
        assert!(alerts.len() > 5 && alerts.is_subset(&told), "{alerts:?}");
    }

    #[test]
    fn without_the_controller_only_what_the_maps_tell() {
        let text = to_text(&Sample { controller_runs: false, ..sample() }, None).unwrap();
        assert!(text.contains("knock_controller_running 0\n"), "{text}");
        for unknown in ["commands", "refused", "lost", "reload"] {
            assert!(!text.contains(unknown), "{unknown} in {text}");
        }
    }

    #[test]
    fn without_a_filter_there_is_little_to_tell() {
        let text = to_text(&Sample::default(), None).unwrap();
        let names: Vec<_> = lines(&text).iter().map(|line| line.split(['{', ' ']).next().unwrap()).collect();
        assert_eq!(names, ["knock_build_info", "knock_controller_running"]);
    }
}
