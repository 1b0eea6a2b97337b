//! `[metrics]`: where the controller tells its counters.

use std::net::SocketAddr;

use super::report::{Fault, Located, Report};
use super::scalar;
use super::section::{self, Kind, Section};
use super::tree::{Entry, Node};

const EXAMPLE: &str = "write listen = \"127.0.0.1:9762\"";

/// Reads a section that is there: the address to listen on, and where it stands.
pub(super) fn read(entry: &Entry, report: &mut Report) -> Option<Located<SocketAddr>> {
    let table = section::entry_table(entry, "metrics", report)?;
    let mut section = Section::new(Kind::Metrics, "in [metrics]", table);
    let place = table.get("listen").map_or(entry.place, |listen| listen.node.place);
    if !section.holds("listen") {
        report.error(Fault::new(entry.place, "[metrics] does not say where to listen", EXAMPLE));
    }
    let listen = section.read("listen", report, address);
    section.finish(report);
    listen.map(|value| Located { place, value })
}

/// Whoever reaches another than a loopback address learns who is let in where, and how much is dropped.
pub(super) fn warn(listen: &Located<SocketAddr>, report: &mut Report) {
    if !listen.value.ip().is_loopback() {
        report.warn(Fault::new(
            listen.place,
            format!("metrics are shown to everyone who reaches {}, without a password", listen.value),
            "write a loopback address, or let this port be open to your monitoring alone",
        ));
    }
}

fn address(node: &Node) -> Result<SocketAddr, Fault> {
    let text = scalar::text(node, "an address and a port in quotes", "\"127.0.0.1:9762\" or \"[::1]:9762\"")?;
    let address: SocketAddr = text.parse().map_err(|_| {
        node.fault(
            format!("{text:?} is not an address with a port"),
            "write one as in \"127.0.0.1:9762\" or \"[::1]:9762\", not a host name",
        )
    })?;
    if address.port() == 0 {
        return Err(node.fault("port 0 is no port that could be asked", EXAMPLE));
    }
    Ok(address)
}
