//! Which version this is.

use std::sync::OnceLock;

static ANNOUNCED: OnceLock<&str> = OnceLock::new();

/// The version that the crate which says this is built as: its package's, or what `KNOCK_CTL_VERSION` was when it was
/// compiled. Said by the program alone, so that one of another version is built without building the library anew.
#[macro_export]
macro_rules! built_version {
    () => {
        match option_env!("KNOCK_CTL_VERSION") {
            Some(version) => version,
            None => env!("CARGO_PKG_VERSION"),
        }
    };
}

/// Tells the library which version it is a part of. Only the first time counts.
pub fn announce(version: &'static str) {
    ANNOUNCED.get_or_init(|| version);
}

/// What was announced, else the package's.
pub fn version() -> &'static str {
    ANNOUNCED.get().copied().unwrap_or(env!("CARGO_PKG_VERSION"))
}
