//! Links that hold programs on interfaces, and their pins.

use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};

use super::DatapathError;

pub(super) fn open_link(path: &Path) -> Result<PinnedLink, DatapathError> {
    PinnedLink::from_pin(path).map_err(|error| DatapathError::Link(format!("{}: {error}", path.display())))
}

/// The program stays attached as long as the pin is there.
pub(super) fn pin_link(link: FdLink, path: &Path) -> Result<(), DatapathError> {
    link.pin(path)
        .map(drop)
        .map_err(|error| DatapathError::Link(format!("cannot pin {}: {error}", path.display())))
}

/// Ends a pinned link, unless somebody else holds it too.
pub(super) fn end_link(path: &Path) -> Result<(), DatapathError> {
    open_link(path)?.unpin().map(drop).map_err(DatapathError::io(path))
}

/// The program behind a pinned link. `None`: there is no such pin, or its link is dead.
pub(super) fn program_on_link(path: &Path) -> Option<u32> {
    Some(FdLink::from(open_link(path).ok()?).info().ok()?.program_id())
}
