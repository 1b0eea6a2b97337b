//! Settings that the file format has and this version cannot honour.

use super::report::{Fault, Report};
use super::section::{Kind, Section};
use super::tree::Value;

/// What an unavailable key may be set to.
enum Allowed {
    Nothing,
    /// Which is what happens anyway.
    False,
}

const UNAVAILABLE: &[(Kind, &str, Allowed)] = &[
    (Kind::Log, "drops", Allowed::False),
    (Kind::Log, "syslog", Allowed::False),
    (Kind::Log, "file", Allowed::Nothing),
];

/// Reports each key of the section that this version cannot honour as it is set.
pub(super) fn refuse(section: &mut Section<'_>, report: &mut Report) {
    let kind = section.kind();
    for (_, key, allowed) in UNAVAILABLE.iter().filter(|(owner, ..)| *owner == kind) {
        let Some(entry) = section.entry(key) else { continue };
        let (what, help) = match (allowed, &entry.node.value) {
            (Allowed::False, Value::Boolean(false)) => continue,
            (Allowed::False, _) => (format!("this value of \"{key}\" is"), "leave it out or write false"),
            (Allowed::Nothing, _) => (format!("\"{key}\" is"), "leave it out"),
        };
        report.error(Fault::new(
            entry.place,
            format!("{what} not available in this version of knock-ctl"),
            help,
        ));
    }
}

#[cfg(feature = "controller")]
/// Whether the key can be set at all in sections of that kind; asked by what writes configurations.
pub(crate) fn is_available(kind: Kind, key: &str) -> bool {
    !UNAVAILABLE.iter().any(|&(owner, unavailable, _)| owner == kind && unavailable == key)
}
