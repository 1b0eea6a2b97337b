//! Settings that the file format has and this version cannot honour.

use super::report::{Fault, Report};
use super::section::{Kind, Section};
use super::tree::Value;

/// They may be false, which is what happens anyway.
const UNAVAILABLE: &[(Kind, &str)] = &[(Kind::Log, "drops")];

/// Reports each key of the section that this version cannot honour as it is set.
pub(super) fn refuse(section: &mut Section<'_>, report: &mut Report) {
    let kind = section.kind();
    for (_, key) in UNAVAILABLE.iter().filter(|(owner, _)| *owner == kind) {
        let Some(entry) = section.entry(key) else { continue };
        if !matches!(entry.node.value, Value::Boolean(false)) {
            report.error(Fault::new(
                entry.place,
                format!("this value of \"{key}\" is not available in this version of knock-ctl"),
                "leave it out or write false",
            ));
        }
    }
}

#[cfg(feature = "controller")]
/// Whether the key can be set at all in sections of that kind; asked by what writes configurations.
pub(crate) fn is_available(kind: Kind, key: &str) -> bool {
    !UNAVAILABLE.iter().any(|&(owner, unavailable)| owner == kind && unavailable == key)
}
