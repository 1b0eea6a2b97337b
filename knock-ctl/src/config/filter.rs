//! `[filter]`: what is closed, what is open, and to whom.

use ipnet::IpNet;
use knock_common::port::PortRange;

use super::address;
use super::destination::{self, Destination};
use super::door::Opens;
use super::draft;
use super::ports;
use super::protocols::{self, IpProtocol};
use super::report::{Fault, Located, Report};
use super::scalar;
use super::section::{Kind, Section};
use super::source::Place;
use super::tree::{Node, Table, Value};
use crate::rules::Policy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Empty: the command line names them.
    pub interfaces: Vec<Interface>,
    pub mode: Mode,
    pub policy: Policy,
    /// `false`: every rule runs and nothing is dropped.
    pub enforce: bool,
    /// Open to everyone.
    pub public: Vec<PortRange>,
    /// Closed without a door of their own.
    pub protected: Vec<PortRange>,
    pub trusted: Vec<Trusted>,
    /// Pass under [`Policy::Drop`].
    pub protocols: Vec<IpProtocol>,
    /// `false`: under [`Policy::Drop`] echo requests are dropped.
    pub ping: bool,
    /// Only packets to these are filtered; empty: all.
    pub destinations: Vec<Destination>,
    /// Any wrong port resets an attempt; `false`: only a port that belongs to some door does.
    pub strict: bool,
    pub established: Established,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// That of the default route.
    Default,
    Named(String),
}

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Native where the driver can, else generic.
    Auto,
    Native,
    Generic,
}

/// What becomes of accepted connections when the grant ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Established {
    Keep,
    Cut,
}

/// A source that need not knock, and for which ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    pub from: IpNet,
    pub to: Opens,
}

/// The filter, and where its entries were written.
pub(super) struct DraftFilter {
    pub(super) filter: Filter,
    pub(super) protected: Vec<Located<PortRange>>,
    pub(super) trusted: Vec<Located<Trusted>>,
    /// Of `strict = false`.
    pub(super) not_strict: Option<Place>,
    /// Of the key, where it is there.
    pub(super) policy: Option<Place>,
    /// Of `protocols` and `ping = false`, which only [`Policy::Drop`] asks for.
    pub(super) for_drop_alone: Vec<(&'static str, Place)>,
}

pub(super) fn read(table: &Table, report: &mut Report) -> DraftFilter {
    let mut section = Section::new(Kind::Filter, "in [filter]", table);
    let interfaces = section.read_list("interfaces", report, |node, _| interface(node));
    let modes = [("auto", Mode::Auto), ("native", Mode::Native), ("generic", Mode::Generic)];
    let mode = section.read("mode", report, scalar::choice(&modes));
    let policies = [("pass", Policy::Pass), ("drop", Policy::Drop)];
    let policy = section.read("policy", report, scalar::choice(&policies));
    let enforce = section.read("enforce", report, scalar::boolean);
    let public = section.read_list("public", report, |node, _| ports::range(node));
    let protected = section.read_list("protected", report, |node, _| ports::range(node));
    let trusted = section.read_list("trusted", report, trusted);
    let protocols = section.read_list("protocols", report, |node, _| protocols::protocol(node));
    let ping = section.read("ping", report, scalar::boolean).unwrap_or(true);
    let destinations = section.read_list("destinations", report, |node, _| destination::destination(node));
    let strict = section.read("strict", report, scalar::boolean).unwrap_or(true);
    let choices = [("keep", Established::Keep), ("cut", Established::Cut)];
    let established = section.read("established", report, scalar::choice(&choices));
    section.finish(report);

    let place = |key| table.get(key).map(|entry| entry.place);
    let place_if = |key, set: bool| place(key).filter(|_| set);
    let for_drop_alone = [("protocols", !protocols.is_empty()), ("ping", !ping)]
        .into_iter()
        .filter_map(|(key, set)| Some((key, place_if(key, set)?)))
        .collect();
    let filter = Filter {
        interfaces: values(&interfaces),
        mode: mode.unwrap_or(Mode::Auto),
        policy: policy.unwrap_or(Policy::Pass),
        enforce: enforce.unwrap_or(true),
        public: values(&public),
        protected: values(&protected),
        trusted: values(&trusted),
        protocols: values(&protocols),
        ping,
        destinations: values(&destinations),
        strict,
        established: established.unwrap_or(Established::Keep),
    };
    DraftFilter {
        filter,
        protected,
        trusted,
        not_strict: place_if("strict", !strict),
        policy: place("policy"),
        for_drop_alone,
    }
}

fn values<T: Clone + PartialEq>(located: &[Located<T>]) -> Vec<T> {
    let mut values = Vec::with_capacity(located.len());
    for Located { value, .. } in located {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}

fn interface(node: &Node) -> Result<Interface, Fault> {
    const EXAMPLES: &str = "\"eth0\", or \"default\" for that of the default route";
    let name = scalar::text(node, "an interface's name", EXAMPLES)?;
    if name == "default" {
        return Ok(Interface::Default);
    }
    // What Linux takes as a name (dev_valid_name in net/core/dev.c).
    let valid = (1..=15).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace());
    if valid {
        Ok(Interface::Named(name.to_owned()))
    } else {
        Err(node.fault(format!("{name:?} cannot be an interface's name"), format!("write {EXAMPLES}")))
    }
}

/// A prefix, or `{ from = prefix, to = ports }`.
fn trusted(node: &Node, report: &mut Report) -> Result<Trusted, Fault> {
    let Value::Table(table) = &node.value else {
        return address::prefix(node).map(|from| Trusted { from, to: Opens::Any });
    };
    let mut section = Section::new(Kind::Trusted, "in an entry of \"trusted\"", table);
    let from = section.entry("from");
    let restricted = section.entry("to");
    let to = match restricted {
        Some(_) => draft::read_opens(&mut section, "to", report).0,
        None => Opens::Any,
    };
    section.finish(report);
    if let Some(entry) =
        restricted.filter(|entry| matches!(&entry.node.value, Value::Array(items) if items.is_empty()))
    {
        return Err(entry
            .node
            .fault("\"to\" names no port", "leave it out to trust this source with every port"));
    }
    let from = from.ok_or_else(|| {
        node.fault("this entry has no \"from\"", "write { from = \"192.0.2.10\", to = [\"9100/tcp\"] }")
    })?;
    let from = address::prefix(&from.node).map_err(|fault| fault.of("from"))?;
    Ok(Trusted { from, to })
}
