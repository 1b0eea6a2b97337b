//! Where inputs lie.

use std::path::PathBuf;

use crate::workspace::{root, target};

/// The fuzzing crate.
pub fn package() -> PathBuf {
    root().join("tests/fuzz")
}

/// What cargo-fuzz builds.
pub fn built() -> PathBuf {
    target().join("fuzz/build")
}

/// Below it, by target, the inputs that have reached something new.
pub fn kept() -> PathBuf {
    target().join("fuzz/corpus")
}

/// Below it, by target, inputs for which something does not hold.
pub fn found() -> PathBuf {
    target().join("fuzz/found")
}

/// Below it, by target, what libFuzzer has printed.
pub fn logs() -> PathBuf {
    target().join("fuzz/logs")
}

/// Below it, by target, what was the committed corpus is to become.
pub fn minimised() -> PathBuf {
    target().join("fuzz/minimised")
}

/// Below it, by target, inputs that ordinary tests replay.
pub fn committed() -> PathBuf {
    package().join("corpus")
}
