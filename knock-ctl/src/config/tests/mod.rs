//! The whole way from text to configuration or errors.

mod accepted;
mod archive;
mod closed_machine;
mod description;
mod doors;
mod errors;
mod files;
mod never_panics;
mod users;
mod warnings;

use std::path::Path;

use super::{Loaded, parse};

/// A directory that does not exist: no test that uses it reads another file.
const NOWHERE: &str = "/nonexistent";

/// All messages of a text that is refused, one a line.
fn errors_of(text: &str) -> String {
    parse(text, "knock.toml", Path::new(NOWHERE)).expect_err(text).to_string()
}

fn accepted(text: &str) -> Loaded {
    parse(text, "knock.toml", Path::new(NOWHERE)).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn warnings_of(text: &str) -> Vec<String> {
    accepted(text).warnings.iter().map(ToString::to_string).collect()
}
