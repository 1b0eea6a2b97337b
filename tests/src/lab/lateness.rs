//! How late things may happen.

use std::time::Duration;

/// Set where the machine is emulated, and everything takes many times as long.
const EMULATED: &str = "KNOCK_EMULATED";

/// What a test allows for the machine's own time, which it gives for one that is not emulated.
pub fn lateness(usual: Duration) -> Duration {
    if std::env::var_os(EMULATED).is_some() { usual * 20 } else { usual }
}
